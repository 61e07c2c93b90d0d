"""The single run that the engines are compared with."""

import json

import rows

rows.WORK.mkdir(parents=True, exist_ok=True)
rows.write_rows(rows.WORK / "rows.jsonl")
single = dict(rows.stream((rows.line(*row) for row in rows.rows()), threads=2))
assert len(single) == rows.ROWS and list(single.values()).count(None) == 3
(rows.WORK / "single.json").write_text(json.dumps(single))
