#!/usr/bin/env bash
# The NAT grid: how two members meet, by what stands between them. One line per cell and a table of medians.
# Usage: grid.sh [--runs N] [--delay MS] [--loss PERCENT] [--stable SECONDS] [KIND[xKIND]]...
# --stable: how long a relayed pair is watched for changes of its path (120, as the bar says). Kinds: tests/lab/grid.txt
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/run.sh tools
exec cargo bench --quiet --bench grid -- "$@"
