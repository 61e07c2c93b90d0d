"""Everything that only a GPU can show, as Markdown: run by cuda.sh, which see.

1. How far `last_hidden_state` is from transformers in float64, in every number type, beside
   PyTorch's in the same type on the same GPU.
2. Tokens a second of the encoder, beside PyTorch (SDPA, `inference_mode`), eager and compiled, and
   beside the layers' matrix products alone, which says what the rest of the encoder takes.
3. The whole program on many texts: tokens a second, and the share of time that the GPU is busy.

`--rehearse` runs the same on the CPU with small inputs: its figures mean nothing.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

import numpy as np

import prepare
from cases import agreement_batches, by_32, sequence, texts, write
from report import table
from workers import OURS, REFERENCE, Worker

TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
# Twice the limit of the CPU's tests, for cuBLAS adds in other orders; and, in half precision, which
# has no limit of its own, somewhat more than PyTorch's error.
F32_LIMIT, HALF_RATIO_LIMIT = 2e-5, 1.5
RECTANGLES = [(1, 16), (1, 128), (32, 32), (32, 128), (64, 512)]
BULK_TEXTS = 50_000


def workers(engine, device, dtype):
    """Ours, PyTorch's two ways, and the matrix products alone, of one number type."""
    yield Worker(engine, f"{OURS} {device} {dtype}")
    for how in ("torch-eager", "torch-compiled", "products"):
        yield Worker(engine, f"{how}-{TYPES[dtype]}")


def saved(worker, batches):
    """The vectors of a worker in float64; each ends as soon as it has told them."""
    with worker, tempfile.TemporaryDirectory() as scratch:
        inputs, out = Path(scratch, "input.json"), Path(scratch, "vectors")
        write(inputs, batches)
        worker.ask("input", "agreement", inputs)
        worker.ask("save", "agreement", out)
        ours = worker.name.startswith(OURS)
        return np.fromfile(out, dtype=np.float32 if ours else np.float64).astype(np.float64)


def fidelity(engine, device, batches):
    """Markdown, and whether every limit is kept."""
    truth = saved(Worker(engine, REFERENCE), batches)
    rows, kept = [], True
    for dtype, name in TYPES.items():
        ours = np.abs(saved(Worker(engine, f"{OURS} {device} {dtype}"), batches) - truth)
        torch = np.abs(saved(Worker(engine, f"torch-eager-{name}"), batches) - truth)
        ratio = ours.max() / torch.max()
        good = ours.max() <= F32_LIMIT if dtype == "f32" else ratio <= HALF_RATIO_LIMIT
        kept &= bool(good)
        errors = [f"{it.max():.2e} / {it.mean():.2e}" for it in (ours, torch)]
        rows.append([dtype, *errors, f"{ratio:.2f}", "yes" if good else "NO"])
    header = ["type", "bert-embed, largest / mean", "PyTorch, largest / mean", "ratio", "in limit"]
    return table(header, rows), kept


def cases(rehearse):
    """{name: (ours, PyTorch's batches, real tokens)}"""
    generator = random.Random(20261122)
    found = {}
    for batch, seq in RECTANGLES[: 2 if rehearse else None]:
        batches = [[sequence(generator, seq) for _ in range(batch)]]
        found[f"{batch}x{seq}"] = (batches, batches)
    count = 4 if rehearse else 2048
    ragged = [sequence(generator, generator.randint(5, 120)) for _ in range(count)]
    found["ragged"] = ([ragged], by_32(ragged))
    # What a careful script does: little padding.
    found["ragged, sorted"] = ([ragged], by_32(sorted(ragged, key=len)))
    return found


def speed(engine, device, dtype, inputs, rounds):
    """Markdown: tokens a second, each engine's best of all rounds, the rounds interleaved."""
    running = list(workers(engine, device, dtype))
    best = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (case, batches) in enumerate(inputs.items()):
            for worker in running:
                path = Path(scratch, f"{number}-{worker.name}.json".replace(" ", "-"))
                write(path, batches[worker.name.startswith("torch")])
                worker.ask("input", number, path)
                # Compiles, chooses kernels, fills caches.
                worker.ask("time", number, 3)
            for _ in range(rounds):
                for worker in running:
                    times = worker.ask("time", number, 5)["ms"]
                    key = case, worker.name
                    best[key] = min(best.get(key, np.inf), *times)
    rows = []
    for case, (ours, _) in inputs.items():
        tokens = sum(len(ids) for batch in ours for ids in batch)
        rates = [tokens / best[case, worker.name] * 1e3 for worker in running]
        ratios = [rates[0] / max(rates[1:3]), rates[0] / rates[3]]
        rows.append([case, *(f"{rate:,.0f}" for rate in rates), *(f"{it:.2f}" for it in ratios)])
    for worker in running:
        worker.process.kill()
    header = [f"tokens a second, {dtype}", "bert-embed", "PyTorch eager", "PyTorch compiled"]
    header += ["the products alone", "ours by the best", "ours by the products"]
    return table(header, rows)


def utilization(until):
    """nvidia-smi's share of time in which a kernel ran, in percent, sampled until `until()`."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    samples = []
    while not until():
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        samples.append(float(said.stdout.splitlines()[0]))
        time.sleep(0.1)
    return samples


def bulk(binary, device, count):
    """Markdown: the whole program on a file of texts."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        lines = Path(scratch, "texts.txt")
        vocabulary = prepare.FIXTURES / "bert-base-uncased.vocab.txt"
        lines.write_text("\n".join(texts(vocabulary, count)) + "\n")
        for what, options in {
            "mean pooling to npy": ["--fields", "embedding", "--pooling", "mean", "-o", "out.npy"],
            "pooler_output as JSON": ["--fields", "index,pooler_output", "-o", "out.jsonl"],
            "every vector to safetensors": [
                *["--fields", "index,last_hidden_state", "-o", "out.safetensors"],
            ],
        }.items():
            command = [binary, "-m", prepare.BASE, "--offline", "--device", device, "-q"]
            start = time.perf_counter()
            process = subprocess.Popen([*command, "-f", lines, *options], cwd=scratch)
            ended = lambda process=process: process.poll() is not None  # noqa: E731
            samples = utilization(ended) if device == "cuda" else []
            if process.wait() != 0:
                sys.exit(f"cuda: the program ended with {process.returncode}")
            seconds = time.perf_counter() - start
            # Loading is part of the time, not of the share.
            busy = samples[next((i for i, it in enumerate(samples) if it > 0), 0) :]
            share = f"{mean(busy):.0f} %" if busy else "-"
            rows.append([what, f"{seconds:.1f}", f"{count / seconds:,.0f}", share])
    header = [f"{count:,} texts, f32", "s", "texts a second", "GPU busy"]
    return table(header, rows)


def main():
    """Prints the tables; exit code 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, small")
    parser.add_argument("--rounds", type=int, default=5)
    default = ["cargo", "build", "--locked", "--release"]
    parser.add_argument("--build", nargs=argparse.REMAINDER, default=default, help="the last one")
    arguments = parser.parse_args()
    device = "cpu" if arguments.rehearse else "cuda"
    os.environ |= prepare.QUIET | {"BERT_EMBED_BENCH_DEVICE": device}
    prepare.checkpoints()
    binary, engine = prepare.build(arguments.build)

    batches = agreement_batches()[: 1 if arguments.rehearse else None]
    shown, kept = fidelity(engine, device, batches)
    print(f"### Largest and mean error against float64\n\n{shown}\n", flush=True)
    inputs = cases(arguments.rehearse)
    for dtype in ["f32"] if arguments.rehearse else TYPES:
        rounds = 1 if arguments.rehearse else arguments.rounds
        print(f"### Speed, {dtype}\n\n{speed(engine, device, dtype, inputs, rounds)}\n", flush=True)
    count = 20 if arguments.rehearse else BULK_TEXTS
    print(f"### The whole program\n\n{bulk(binary, device, count)}\n", flush=True)
    if not kept and not arguments.rehearse:
        sys.exit("cuda: the error is larger than allowed")


if __name__ == "__main__":
    main()
