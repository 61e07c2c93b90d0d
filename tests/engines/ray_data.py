"""Ray Data: each actor keeps one process, which answers a line as soon as it has read it."""

import subprocess
import sys
import time
from pathlib import Path

import ray

import rows

WORKERS = 2


class Embedder:
    """One process, fed batch after batch."""

    def __init__(self):
        """Starts it; its start takes a few hundredths of a second."""
        self.process = subprocess.Popen(
            rows.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, batch):
        """A batch must fit into the pipes: 64 short lines do."""
        done = {"id": [], "embedding": []}
        for row_id, text in zip(batch["id"], batch["text"], strict=True):
            self.process.stdin.write(rows.line(row_id, text) + "\n")
        self.process.stdin.flush()
        for _ in batch["id"]:
            row_id, vector = rows.record(self.process.stdout.readline())
            done["id"].append(row_id)
            done["embedding"].append(vector)
        return done


ray.init(
    num_cpus=WORKERS + 1,
    include_dashboard=False,
    log_to_driver=False,
    runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
)
table = ray.data.from_items([{"id": row_id, "text": text} for row_id, text in rows.rows()])
start = time.monotonic()
embedded = table.map_batches(
    Embedder, batch_size=64, batch_format="numpy", concurrency=WORKERS
).take_all()
seconds = time.monotonic() - start
got = [
    (row["id"], None if row["embedding"] is None else [float(x) for x in row["embedding"]])
    for row in embedded
]
sys.exit(not rows.compare("Ray Data actors", WORKERS, seconds, got))
