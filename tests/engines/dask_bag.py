"""Dask: one process a partition."""

import sys
import time

import dask
import dask.bag

import rows

WORKERS = 2


def embed(partition):
    """All records of a partition."""
    return list(rows.stream(rows.line(*row) for row in partition))


if __name__ == "__main__":
    bag = dask.bag.from_sequence(list(rows.rows()), npartitions=4)
    start = time.monotonic()
    with dask.config.set(scheduler="processes", num_workers=WORKERS):
        got = bag.map_partitions(embed).compute()
    seconds = time.monotonic() - start
    sys.exit(not rows.compare("Dask bag", WORKERS, seconds, got))
