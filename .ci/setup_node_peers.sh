#!/usr/bin/env bash
# Peers for the tests of ui-message and ai-data: Vercel's AI SDK, versions 4 to 7, from npm.
# usage: .ci/setup_node_peers.sh FOLDER; needs node 20 or newer, and npm.
set -euo pipefail
folder=${1:?folder}/node-peers
packages=(ai4@npm:ai@4.3.19 ai5@npm:ai@5.0.277 ai6@npm:ai@6.0.326 ai7@npm:ai@7.0.173 zod@3.25.76)
if [ "$(cat "$folder/done" 2>/dev/null)" = "${packages[*]}" ]; then
  echo "node peers: there already"
  exit
fi
command -v npm >/dev/null || { echo "npm is not installed" >&2; exit 1; }
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
echo '{"private": true}' >package.json
# Its own bounds, as not every system has a timeout(1). What ai7 says of its node is a warning.
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  --fetch-timeout=30000 --fetch-retries=1 "${packages[@]}"
echo "${packages[*]}" >"done"
