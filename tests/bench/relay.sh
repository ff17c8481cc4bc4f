#!/usr/bin/env bash
# Throughput and echo time of a relayed pair beside a direct one, with no loss and 1 %. Usage: relay.sh [--seconds N] [--runs N]
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/run.sh tools
exec cargo bench --quiet --bench relay -- "$@"
