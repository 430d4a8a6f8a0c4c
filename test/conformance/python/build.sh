#!/bin/sh
# A virtual environment with what requirements.txt pins, and the stubs generated from the contract, both in this folder.
set -eu
cd "$(dirname "$0")"
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
mkdir -p gen
.venv/bin/python -m grpc_tools.protoc -I ../../../proto --python_out=gen --pyi_out=gen --grpc_python_out=gen ../../../proto/tercet/v1/*.proto
# The environment finds the stubs as if they were installed: `from tercet.v1 import sync_pb2`.
echo "$PWD/gen" > "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tercet-stubs.pth"
