#!/usr/bin/env bash
# FastAPI and uvicorn, from the package index.  usage: setup_fastapi.sh FOLDER; makes FOLDER/venv-fastapi
set -euo pipefail
folder=${1:?usage: setup_fastapi.sh FOLDER}
python=$folder/venv-fastapi/bin/python
works() { "$python" -c 'import fastapi, uvicorn' 2>/dev/null; }

if ! works; then
  mkdir -p "$folder"
  python3 -m venv --clear "$folder/venv-fastapi"
  "$python" -m pip install -q --disable-pip-version-check --timeout 30 --retries 2 'fastapi>=0.115,<1' 'uvicorn>=0.30,<1'
  works
fi
