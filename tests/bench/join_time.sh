#!/usr/bin/env bash
# How long until two machines ping each other: after `up CODE`, after a restart. Usage: join_time.sh [--runs N]
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/run.sh tools
exec cargo bench --quiet --bench meeting -- "$@"
