#!/usr/bin/env bash
# The official A2A SDK, both of its lines, and Tyler's A2A server: what tests/test_real_a2a.py asks.
#
# usage: .ci/setup_a2a.sh FOLDER    makes FOLDER/venv-a2a03 and FOLDER/venv-a2a1; what is there stays
set -euo pipefail
folder=${1:?usage: setup_a2a.sh FOLDER}
export PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# venv NAME PROBE PACKAGE...: PROBE is what has to import for it to be whole.
venv() {
  local name=$1 probe=$2
  shift 2
  "$folder/$name/bin/python" -c "$probe" 2>/dev/null && return
  rm -rf "${folder:?}/$name"
  python3 -m venv "$folder/$name"
  "$folder/$name/bin/pip" install --timeout 30 --retries 2 "$@"
  "$folder/$name/bin/python" -c "$probe"
}

mkdir -p "$folder"
venv venv-a2a1 'import uvicorn, a2a.server.routes, sse_starlette' \
  'a2a-sdk[http-server]>=1,<2' uvicorn
venv venv-a2a03 'import uvicorn, a2a.server.apps, fastapi, sse_starlette' \
  'a2a-sdk[http-server]>=0.3.20,<1' uvicorn
# Its dependencies fill a gigabyte, and its A2A server needs none of them but the SDK.
tyler=("$folder"/venv-a2a03/lib/python*/site-packages/tyler/a2a/server.py)
[ -e "${tyler[0]}" ] || "$folder/venv-a2a03/bin/pip" install --no-deps 'slide-tyler>=6,<7'
