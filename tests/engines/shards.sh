#!/usr/bin/env bash
# A job array: task I of N takes every N-th text. `index` is the place in the whole input, so the parts
# are joined by sorting on it.
set -euo pipefail
cd "$(dirname "$0")"
mapfile -t command < <("$PYTHON" -c 'import rows; print(*rows.command(), sep="\n")')
start=$(date +%s.%N)
for task in 0 1 2; do
    "${command[@]}" --shard "$task/3" -f "$WORK/rows.jsonl" -o "$WORK/shard-$task.jsonl" &
    tasks+=($!)
done
for task in "${tasks[@]}"; do wait "$task"; done
seconds=$(echo "$(date +%s.%N) - $start" | bc)
"$PYTHON" - "$WORK" <<'PYTHON'
import json, pathlib, sys
places = [json.loads(line)["index"] for path in pathlib.Path(sys.argv[1]).glob("shard-*.jsonl")
          for line in path.open()]
assert sorted(places) == list(range(2000)), "an index is missing or twice there"
PYTHON
"$PYTHON" joined.py "job array of --shard" 3 "$seconds" "$WORK"/shard-*.jsonl
