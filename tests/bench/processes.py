"""Whole processes: cold start, peak memory, and files of lines.

Times have the process to itself; memory is watched in runs that are not timed.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import cases
import prepare
from workers import OURS, STOCK

SCRIPTS = Path(__file__).with_name("scripts")
# 17 tokens.
SENTENCE = "The quick brown fox jumps over the lazy dog while the old man sleeps."
SCRIPT, SORTED_SCRIPT = "transformers", "transformers, sorted"
# In JSON both sides print what f32 holds; the vectors differ by the engines' errors.
TOLERANCE = 1e-4
STATUS_SECONDS = 0.002
DTYPES = ["f32", "int16", "int8"]


def timed(command):
    """Seconds from start to end of a process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"bench: {command[0]} failed:\n{done.stderr.decode()[-2000:]}")
    return seconds, done.stdout


def timed_twice(command):
    """Seconds from start to end of a process, and its processor time."""

    def processor():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = processor()
    seconds = timed(command)[0]
    return seconds, processor() - before


def sentence_commands(binary, engine):
    """One sentence to JSON, three ways."""
    ours = [binary, "--model", prepare.BASE, "--device", "cpu", "--threads", "2", SENTENCE]
    return {
        OURS: ours,
        STOCK: [engine, "sentence", prepare.BASE, SENTENCE],
        SCRIPT: [sys.executable, SCRIPTS / "sentence.py", prepare.BASE, SENTENCE],
    }


def memory(binary, engine):
    """{engine: {peak, above_files}} of one sentence."""
    commands = sentence_commands(binary, engine)
    for dtype in DTYPES[1:]:
        commands[f"{OURS} {dtype}"] = [*commands[OURS], "--dtype", dtype]
    return {name: peak_memory(command) for name, command in commands.items()}


def largest_difference(one, other):
    """Between two JSON arrays of the same shape."""
    one, other = np.array(one), np.array(other)
    assert one.shape == other.shape, "the vectors have the same shape"
    return np.abs(one - other).max()


def cold_start(binary, engine, rounds, stock_rounds):
    """[{engine: ms}], one a round, in turn; the pages of the files are warm after the first."""
    commands = sentence_commands(binary, engine)
    vectors = {
        name: json.loads(timed(command)[1])["last_hidden_state"]
        for name, command in commands.items()
    }
    for name, states in vectors.items():
        if not largest_difference(states, vectors[OURS]) <= TOLERANCE:
            sys.exit(f"bench: {name} gives other numbers")
    results = []
    for number in range(rounds):
        chosen = [n for n in commands if n != STOCK or number < stock_rounds]
        results.append({name: 1e3 * timed(commands[name])[0] for name in chosen})
    return results


def peak_memory(command):
    """MB at most: in all, and not of mapped files."""
    peak = {"VmHWM": 0, "RssAnon": 0}
    # Into a file: a pipe that nobody empties would stop the process.
    with open(prepare.WORK / "sentence.json", "w") as output:
        process = subprocess.Popen(command, stdout=output)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            for line in status.read_text().splitlines():
                key, _, value = line.partition(":")
                if key in peak:
                    peak[key] = max(peak[key], int(value.split()[0]) / 1e3)
            time.sleep(STATUS_SECONDS)
    return {"peak": peak["VmHWM"], "above_files": peak["RssAnon"]}


def bulk_files(count):
    """A file of lines, and where each engine writes."""
    folder = prepare.WORK / "bulk"
    folder.mkdir(exist_ok=True)
    source = folder / "lines.txt"
    lines = cases.texts(prepare.minilm() / "vocab.txt", count)
    source.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder, source


def bulk(binary, count, rounds):
    """[{engine: seconds}] for `count` lines to JSON lines with all vectors of all-MiniLM."""
    folder, source = bulk_files(count)
    model, output = prepare.minilm(), {}
    for name in (OURS, SCRIPT, SORTED_SCRIPT):
        output[name] = folder / f"{name.replace(', ', '-')}.jsonl"
    script = [sys.executable, SCRIPTS / "lines.py", model, source]
    ours = [binary, "--model", model, "--device", "cpu", "--threads", "2", "--quiet"]
    commands = {
        OURS: [*ours, "--file", source, "--output", output[OURS]],
        SCRIPT: [*script, output[SCRIPT]],
        SORTED_SCRIPT: [*script, output[SORTED_SCRIPT], "sorted"],
    }
    results = [{name: timed(c)[0] for name, c in commands.items()} for _ in range(rounds)]
    for name in (SCRIPT, SORTED_SCRIPT):
        compare_lines(output[OURS], output[name])
    for path in output.values():
        path.unlink()
    return results


def compare_lines(ours, other):
    """Refuses files whose records are not the same texts, tokens and vectors."""
    with open(ours, encoding="utf-8") as ours, open(other, encoding="utf-8") as other:
        for number, (one, two) in enumerate(zip(ours, other, strict=True)):
            # The vectors of every 50th line: reading them all takes longer than the benchmark.
            if number % 50:
                continue
            one, two = json.loads(one), json.loads(two)
            same = one["index"] == two["index"] and one["input_ids"] == two["input_ids"]
            states = [record["last_hidden_state"] for record in (one, two)]
            if not (same and largest_difference(*states) <= TOLERANCE):
                sys.exit(f"bench: line {number} differs between ours and the script")


def programs(binary, count, rounds):
    """{dtype: [{"json", "npy": seconds, "tokenizing", "encoding", "printing": processor seconds}]}

    A dry run only tokenizes. npy holds one mean a text, so next to nothing is printed: what JSON
    with all vectors takes more is for printing.
    """
    folder, source = bulk_files(count)
    json_file, npy_file = folder / "program.jsonl", folder / "program.npy"
    command = [binary, "--model", prepare.minilm(), "--file", source, "--quiet", "--device", "cpu"]
    command += ["--threads", "2"]
    to_json = ["--fields", "last_hidden_state", "--output", json_file]
    to_npy = ["--pooling", "mean", "--format", "npy", "--output", npy_file]
    results = {dtype: [] for dtype in DTYPES}
    for _ in range(rounds):
        for dtype, samples in results.items():
            run = [*command, "--dtype", dtype]
            json_seconds, json_time = timed_twice([*run, *to_json])
            npy_seconds, npy_time = timed_twice([*run, *to_npy])
            tokenizing = timed_twice([*run, "--dry-run"])[1]
            sample = {"json": json_seconds, "npy": npy_seconds, "tokenizing": tokenizing}
            sample |= {"encoding": npy_time - tokenizing, "printing": json_time - npy_time}
            samples.append(sample)
    json_file.unlink()
    npy_file.unlink()
    return results
