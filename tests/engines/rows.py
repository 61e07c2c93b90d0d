"""The rows that every engine embeds, and what a single process gives for them."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "engines"
# Engines change directory and clear the environment: every path is absolute.
BINARY = os.environ.get("BERT_EMBED", str(ROOT / "target" / "release" / "bert-embed"))
MODEL = os.environ.get("BERT_EMBED_MINILM", str(ROOT / "target" / "all-MiniLM-L6-v2"))
OPTIONS = ["-m", MODEL, "--fields", "index,id,embedding", "--pooling", "mean", "--quiet"]
OPTIONS += ["--input-format", "jsonl", "--errors-ok"]

ROWS = 2000
WORDS = "the river ran past old mills while seven engineers measured bright water café 東京 ok".split()


def rows():
    """`(id, text)`; three texts are null, which is no text."""
    bad = {17, 1001, 1999}
    for number in range(ROWS):
        count = 3 + number * 7 % 23
        words = [WORDS[(number * 5 + place * place) % len(WORDS)] for place in range(count)]
        yield f"r{number}", None if number in bad else " ".join([*words, str(number)])


def line(row_id, text):
    """One row as the program reads it."""
    return json.dumps({"id": row_id, "text": text})


def record(printed):
    """`(id, vector or None)` of one record; a record without a vector has an error."""
    found = json.loads(printed)
    assert ("embedding" in found) != ("error" in found), printed
    return found["id"], found.get("embedding")


def command(*options, threads=1):
    """The command line of one process."""
    return [BINARY, *OPTIONS, "--threads", str(threads), *options]


def stream(lines, threads=1):
    """Feeds `lines` to one process and yields its records while it runs."""
    import threading

    process = subprocess.Popen(
        command(threads=threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def feed():
        # A process that has failed says so by its exit code below.
        try:
            for text in lines:
                process.stdin.write(text + "\n")
            process.stdin.close()
        except BrokenPipeError:
            pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    for printed in process.stdout:
        yield record(printed)
    feeder.join()
    if process.wait() != 0:
        raise RuntimeError(f"bert-embed ended with {process.returncode}")


def write_rows(path):
    """The rows as a file of JSON lines."""
    path.write_text("".join(line(*row) + "\n" for row in rows()))


def compare(name, workers, seconds, got):
    """Prints one row of the table; whether every vector has the bits of the single run."""
    expected = json.loads((WORK / "single.json").read_text())
    got = dict(got)
    same = got == expected
    errors = sum(vector is None for vector in got.values())
    verdict = "equal" if same else "DIFFERENT"
    print(f"| {name} | {len(got)} | {errors} | {workers} | {seconds:.1f} | {verdict} |", flush=True)
    return same
