#!/usr/bin/env bash
# Warren and its peers at the same work, one table. Usage: run.sh [--runs N] [--seconds N] [NAME]...
# README.md beside this file says which peers there are and how to point to their binaries.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/run.sh tools
exec cargo bench --quiet --bench throughput -- "$@"
