#!/bin/sh
# What this client is held against besides the kit, in the environment that build.sh has made: types, style, the vectors.
set -eu
cd "$(dirname "$0")"
.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
# protoc makes types of messages, but none of services.
.venv/bin/python -m grpc_tools.protoc -I ../../../proto --plugin=.venv/bin/protoc-gen-mypy_grpc --mypy_grpc_out=quiet:gen ../../../proto/tercet/v1/*_service.proto
.venv/bin/mypy
.venv/bin/ruff check
.venv/bin/ruff format --check
.venv/bin/python -m unittest --quiet
