"""Compares files of records with the single run: joined.py NAME WORKERS SECONDS FILE..."""

import sys
from pathlib import Path

import rows

name, workers, seconds, *files = sys.argv[1:]
lines = [line for file in files for line in Path(file).read_text().split("\n")[:-1]]
sys.exit(not rows.compare(name, workers, float(seconds), map(rows.record, lines)))
