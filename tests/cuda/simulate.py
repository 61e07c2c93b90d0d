"""The program on a simulated GPU, compared with itself on the CPU; simulate builds both.

    simulate.py BINARY MODEL

What the CPU prints is compared with transformers by the tests. Here: every number on both devices,
in each type and on each kind of GPU; what is asked of the GPU, and in which order; every error.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

# The CPU's own distance from float64 at most, in the tests.
F32_LIMIT = 1e-5
# Roundings to the type that may add up in the largest of the numbers; a wrong kernel is 1 away.
HALF_LIMITS = {"f16": 40 * 2**-11, "bf16": 40 * 2**-8}
LAYERS = 6
BOTH = ("last_hidden_state", "pooler_output")


class Program:
    """The binary, the model, and lines for its standard input."""

    def __init__(self, binary, model):
        """Makes up some texts."""
        self.command = [binary, "-m", model, "--offline"]
        words = Path(model, "vocab.txt").read_text().split("\n")
        words = [word for word in words if word.isalpha()]
        generator = random.Random(20261122)
        # The last is longer than a tile of queries and than a block of keys.
        lengths = [1, 5, 0, 30, 2, 9, 150]
        self.texts = [" ".join(generator.choices(words, k=length)) for length in lengths]

    def run(self, device, *options, texts=None, **simulated):
        """(exit code, records, standard error, lines of the simulator's log)"""
        texts = self.texts if texts is None else texts
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch, "log")
            environment = {f"SIMULATED_{name}": str(value) for name, value in simulated.items()}
            ended = subprocess.run(
                [*self.command, "--device", device, *options],
                input="".join(f"{text}\n" for text in texts),
                env={**os.environ, **environment, "SIMULATED_LOG": str(log)},
                capture_output=True,
                text=True,
            )
            lines = log.read_text().splitlines() if log.exists() else []
        records = [json.loads(line) for line in ended.stdout.splitlines()]
        return ended.returncode, records, ended.stderr, lines

    def records(self, device, *options, **simulated):
        """The records of a run without an error."""
        code, records, said, _ = self.run(device, *options, **simulated)
        expect(code == 0, f"{device} {options}: exit code {code}: {said}")
        return records


def expect(holds, what):
    """Ends the run where something is not as it should be."""
    if not holds:
        sys.exit(f"FAIL: {what}")


def flat(value):
    """Every number of nested lists."""
    return [it for one in value for it in flat(one)] if isinstance(value, list) else [value]


def compare(what, ours, theirs, limit, fields=BOTH):
    """The largest difference of two runs' numbers is at most `limit`."""
    largest = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        for field in fields:
            pairs = list(zip(flat(mine[field]), flat(other[field]), strict=True))
            largest = max([largest, *(abs(a - b) for a, b in pairs)])
    expect(largest <= limit, f"{what}: {largest:.1e} apart, {limit:.1e} allowed")
    print(f"{what}: {largest:.1e} apart, {limit:.1e} allowed")


def numbers(program):
    """The same numbers on both devices."""
    host = program.records("cpu")
    compare("f32", program.records("cuda"), host, F32_LIMIT)
    compare("f32, auto", program.records("auto"), host, F32_LIMIT)
    compare(
        "f32, small batches", program.records("cuda:0", "--batch-tokens", "20"), host, F32_LIMIT
    )
    for dtype, limit in HALF_LIMITS.items():
        compare(dtype, program.records("cuda", "--dtype", dtype), host, limit)
    turing = program.records("cuda", "--dtype", "f16", CAPABILITY="7.5")
    compare("f16 without tensor cores", turing, host, HALF_LIMITS["f16"])
    some = ["--fields", "embedding,hidden_states", "--layers", "0,2,-1", "--pooling", "mean"]
    fields = ("embedding", "hidden_states")
    compare(
        "layers", program.records("cuda", *some), program.records("cpu", *some), F32_LIMIT, fields
    )
    # Padding alone: rows that attend to what they are not.
    padded = ["--padding", "max-length", "--max-length", "24"]
    both = [real_rows(program.records(device, *padded)) for device in ("cuda", "cpu")]
    compare("padding", *both, F32_LIMIT)


def real_rows(records):
    """Without the rows of padding, where this model makes a hundred of one rounding."""
    for record in records:
        rows = zip(record["last_hidden_state"], record["attention_mask"], strict=True)
        record["last_hidden_state"] = [row for row, mask in rows if mask]
    return records


def order(program):
    """What is asked of the GPU."""
    code, _, said, log = program.run("cuda", "--batch-tokens", "20")
    expect(code == 0, said)
    starts = [place for place, line in enumerate(log) if line.startswith("launch embeddings")]
    expect(len(starts) > 3, "the texts are too few for batches")
    for start, end in zip(starts, [*starts[1:], len(log)], strict=True):
        # From the embeddings to the last layer, nothing but launches and products and one upload.
        work = ("launch", "product", "upload")
        asked = [line for line in log[start:end] if line.startswith(work)]
        launches = [line for line in asked if not line.startswith("upload")]
        # Then the pooler: the first tokens, a product, a tanh.
        expect(len(launches) == 1 + 8 * LAYERS + 3, f"a batch is {len(launches)} launches")
        last = max(place for place in range(start, end) if log[place] in launches)
        others = [line for line in log[start:last] if not line.startswith(work)]
        expect(not others, f"the encoder is interrupted: {others}")
    first_wait = log.index("wait")
    expect(
        starts[1] < first_wait, "the second batch is not begun before the first one is waited for"
    )
    print(f"order: {8 * LAYERS + 4} launches a batch, none waited for; one batch ahead")


def self_test(program):
    """The program's own test, against candle's stock BERT on the CPU."""
    command = [*program.command, "--device", "cuda", "--self-test"]
    ended = subprocess.run(command, capture_output=True, text=True)
    passed = ended.returncode == 0 and ended.stdout.endswith(" on cuda:0\n")
    expect(passed, f"--self-test: {ended.stdout}{ended.stderr}")
    print(f"--self-test: {ended.stdout.splitlines()[-1]}")


def errors(program):
    """What a user is told."""
    cases = [
        ("cuda", {"GPUS": 0}, "there is no GPU", "--device cpu"),
        ("cuda:2", {"GPUS": 1}, "there is 1 GPU, cuda:0", "--device cuda:0"),
        ("cuda:9", {"GPUS": 4}, "there are 4 GPUs, cuda:0 to cuda:3", "--device cuda:0"),
        (
            "cuda",
            {"MEMORY": 40_000_000},
            "could not load the model: the GPU is out of memory",
            "--device cpu",
        ),
        ("cuda", {"MEMORY": 92_000_000}, "could not encode a text of", "--device cpu"),
        ("cuda", {"CAPABILITY": "6.1"}, "compute capability 6.1, at least 7.5", "--device cpu"),
        ("cuda", {"LAUNCHES": 0}, "could not encode the texts: unspecified launch failure"),
        ("cuda", {"LAUNCHES": 40}, "could not encode the texts: unspecified launch failure"),
    ]
    for device, simulated, *expected in cases:
        code, _, said, _ = program.run(device, "--batch-tokens", "20", **simulated)
        expect(code == 8, f"{device} {simulated}: exit code {code}, not 8: {said}")
        expect(said.count("error: ") == 1, f"{device} {simulated}: {said}")
        for words in [*expected, "  tip: "]:
            expect(words in said, f"{device} {simulated}: no `{words}` in: {said}")
        print(f"exit 8: {said.splitlines()[0]}")
    everything = (0, len(program.texts))
    code, records, said, _ = program.run("auto", GPUS=0)
    expect((code, len(records), said) == (*everything, ""), f"auto without a GPU: {said}")
    code, records, said, _ = program.run("auto", CAPABILITY="6.1")
    told = said.startswith("note: ") and said.endswith(": going on with the CPU\n")
    expect((code, len(records), told) == (*everything, True), f"auto with an old GPU: {said}")
    kept_records(program)


def kept_records(program):
    """A run whose GPU fails goes on where it was."""
    with tempfile.TemporaryDirectory() as scratch:
        output = ["--batch-tokens", "20", "--fields", "index,pooler_output", "-o", f"{scratch}/out"]
        code, _, said, _ = program.run("cuda", *output, LAUNCHES=90)
        expect(
            (code, "continue with --resume" in said) == (8, True), f"a GPU that fails: {code}: {said}"
        )
        code, _, said, _ = program.run("cuda", *output, "--resume")
        expect((code, said) == (0, ""), f"--resume: {code}: {said}")
        records = [json.loads(line) for line in Path(scratch, "out").read_text().splitlines()]
        host = program.records("cpu")
        compare("resumed after a failure", records, host, F32_LIMIT, ("pooler_output",))


def memory(program):
    """Batches are halved until they fit, and it is said once."""
    host = program.records("cpu")
    code, records, said, log = program.run("cuda", MEMORY=93_000_000)
    expect(code == 0, said)
    expect(said.count("note: the GPU has no memory for") == 1, f"not said once: {said!r}")
    batches = sum(line.startswith("launch embeddings") for line in log)
    expect(batches > 1, "nothing was halved")
    compare(f"out of memory, {batches} batches", records, host, F32_LIMIT)


def main():
    """Runs everything."""
    program = Program(*sys.argv[1:])
    for part in (numbers, order, memory, self_test, errors):
        part(program)
    print("the CUDA build does on a simulated GPU what it does on a CPU")


if __name__ == "__main__":
    main()
