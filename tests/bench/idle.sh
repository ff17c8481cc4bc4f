#!/usr/bin/env bash
# What 20 members cost that say nothing, for ten minutes. Usage: idle.sh [--members N] [--seconds N]
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/run.sh tools
exec cargo bench --quiet --bench idle -- "$@"
