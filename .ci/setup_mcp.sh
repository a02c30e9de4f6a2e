#!/usr/bin/env bash
# Servers for the tests of --mcp: one made with the official SDK of the protocol before the newest,
# and the reference server from npm.
# usage: .ci/setup_mcp.sh FOLDER; the second one needs node 20 or newer, and npm.
set -euo pipefail
folder=${1:?folder}
old=mcp==1.30.0
if [ "$(cat "$folder/venv-mcp1/done" 2>/dev/null)" != "$old" ]; then
  rm -rf "$folder/venv-mcp1"
  python3 -m venv "$folder/venv-mcp1"
  "$folder/venv-mcp1/bin/pip" install -q "$old"
  echo "$old" >"$folder/venv-mcp1/done"
fi
everything=@modelcontextprotocol/server-everything@2026.8.31
if [ "$(cat "$folder/node-mcp/done" 2>/dev/null)" != "$everything" ]; then
  command -v npm >/dev/null || { echo "npm is not installed" >&2; exit 1; }
  rm -rf "$folder/node-mcp"
  mkdir -p "$folder/node-mcp"
  cd "$folder/node-mcp"
  echo '{"private": true}' >package.json
  npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
    --fetch-timeout=30000 --fetch-retries=1 "$everything"
  echo "$everything" >"done"
fi
