#!/usr/bin/env bash
# GNU parallel: whole lines to two processes, the records in the order of the input.
set -euo pipefail
cd "$(dirname "$0")"
mapfile -t command < <("$PYTHON" -c 'import rows; print(*rows.command(), sep="\n")')
start=$(date +%s.%N)
parallel --pipe --jobs 2 --keep-order --block 40k --quote "${command[@]}" \
    <"$WORK/rows.jsonl" >"$WORK/parallel.jsonl"
seconds=$(echo "$(date +%s.%N) - $start" | bc)
"$PYTHON" joined.py "GNU parallel" 2 "$seconds" "$WORK/parallel.jsonl"
