#!/usr/bin/env bash
# setup_botocore.sh FOLDER: AWS's SDK, for tests/test_bedrock.py, in FOLDER/venv-botocore.
set -euo pipefail
home=$1/venv-botocore
"$home/bin/python" -c 'import botocore' 2>/dev/null && exit
rm -rf "$home"
"${PYTHON:-python3}" -m venv "$home"
"$home/bin/pip" install --quiet --disable-pip-version-check --timeout 30 --retries 2 botocore
