#!/usr/bin/env bash
# FastAPI, uvicorn and WebSockets, and what `astream` needs beside them, from the package index.
# usage: setup_fastapi.sh FOLDER; makes FOLDER/venv-fastapi
set -euo pipefail
folder=${1:?usage: setup_fastapi.sh FOLDER}
python=$folder/venv-fastapi/bin/python
works() { "$python" -c 'import fastapi, uvicorn, websockets, click, httpx, orjson' 2>/dev/null; }

if ! works; then
  mkdir -p "$folder"
  "$python" -c '' 2>/dev/null || python3 -m venv --clear "$folder/venv-fastapi"
  "$python" -m pip install -q --disable-pip-version-check --timeout 30 --retries 2 \
    'fastapi>=0.115,<1' 'uvicorn>=0.30,<1' 'websockets>=13,<17' 'click>=8.2' 'httpx>=0.28.1,<1' 'orjson>=3.10.15'
  works
fi
