#!/usr/bin/env bash
# Peers for the tests of ag-ui: the protocol's own package, from PyPI, before and since 1.0.
# usage: .ci/setup_agui_peer.sh FOLDER; needs python3.
set -euo pipefail
mkdir -p "${1:?folder}"
cd "$1"
for version in 0.1.10 1.0.0; do
  venv=venv-agui-$version
  [ ! -e "$venv/done" ] || continue
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check --timeout 30 --retries 1 \
    "ag-ui-protocol==$version"
  touch "$venv/done"
done
