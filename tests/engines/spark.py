"""PySpark: `mapInArrow` with one process a task, and `rdd.pipe`."""

import shlex
import sys
import time
from pathlib import Path

import pyarrow
from pyspark.sql import SparkSession

import rows

WORKERS = 2


def embed(batches):
    """One process for all batches of a task; the model is mapped once and shared by the system."""
    lines = (
        rows.line(row["id"], row["text"]) for batch in batches for row in batch.to_pylist()
    )
    done = []
    for row_id, vector in rows.stream(lines):
        done.append({"id": row_id, "embedding": vector})
        if len(done) == 256:
            yield pyarrow.RecordBatch.from_pylist(done, schema=SCHEMA)
            done = []
    if done:
        yield pyarrow.RecordBatch.from_pylist(done, schema=SCHEMA)


SCHEMA = pyarrow.schema(
    [("id", pyarrow.string()), ("embedding", pyarrow.list_(pyarrow.float64()))]
)

spark = (
    SparkSession.builder.master(f"local[{WORKERS}]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", str(WORKERS))
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
spark.sparkContext.addPyFile(str(Path(__file__).with_name("rows.py")))
table = spark.createDataFrame(list(rows.rows()), "id string, text string").repartition(WORKERS)

start = time.monotonic()
embedded = table.mapInArrow(embed, "id string, embedding array<double>").collect()
seconds = time.monotonic() - start
got = [(row.id, row.embedding) for row in embedded]
same = rows.compare("Spark mapInArrow", WORKERS, seconds, got)

start = time.monotonic()
lines = table.rdd.map(lambda row: rows.line(row["id"], row["text"]))
printed = lines.pipe(shlex.join(rows.command()), checkCode=True).collect()
seconds = time.monotonic() - start
same &= rows.compare("Spark rdd.pipe", WORKERS, seconds, map(rows.record, printed))
spark.stop()
sys.exit(not same)
