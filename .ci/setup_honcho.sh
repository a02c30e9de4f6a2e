#!/usr/bin/env bash
# Honcho's own SDK, a second client of tests/honchoserver.py: FOLDER/venv-honcho.
# usage: .ci/setup_honcho.sh FOLDER
set -euo pipefail
folder=${1:?usage: setup_honcho.sh FOLDER}
mkdir -p "$folder"
venv=$(cd "$folder" && pwd)/venv-honcho
"$venv/bin/python" -c 'import honcho' 2>/dev/null && exit # it is there already
rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install -q --timeout 20 --retries 2 --disable-pip-version-check 'honcho-ai>=2.7,<3'
"$venv/bin/python" -c 'import honcho'
