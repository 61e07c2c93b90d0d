"""Engines kept alive, one process each, asked in turn.

Owns the protocol of engine/main.rs and peer.py. An idle worker waits for its standard input and
must use no processor time: `idle_ms` checks it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import prepare
from cases import WEIGHT_BYTES

OURS, STOCK = "bert-embed", "stock candle"
PEERS = {"PyTorch": "torch", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}
ORT_INT8, TORCH_BF16 = "ONNX Runtime int8", "PyTorch bfloat16"
MODES = PEERS | {ORT_INT8: "onnxruntime-int8", TORCH_BF16: "torch-bfloat16"}
# Any other mode of peer.py goes by its own name.
REFERENCE = "torch-float64"
# What a thread pool may still do after its last run.
SETTLE_SECONDS = 0.03


class Worker:
    """One engine in one process."""

    def __init__(self, engine, name, model=prepare.BASE, graphs=prepare.GRAPHS):
        """Starts the process and waits until the model is loaded."""
        self.name = name
        if name == STOCK:
            command = [engine, "stock", model]
        elif name.startswith(OURS):
            # The device and the type of the weights may follow.
            command = [engine, "ours", model, *name.removeprefix(OURS).split()]
        else:
            peer = MODES.get(name, name)
            directory = model if peer.startswith(("torch", "products")) else graphs
            command = [sys.executable, Path(__file__).with_name("peer.py"), peer, directory]
        log = open(prepare.WORK / f"{name.replace(' ', '-')}.log", "w")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.load_ms = self.answer()["load_ms"]
        self.known = set()

    def answer(self):
        """The next line of the worker."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench: the worker {self.name} failed, see its log under target/bench")
        return json.loads(line)

    def ask(self, *words):
        """Sends one command."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def take(self, case):
        """Reads the inputs of a case, once."""
        if case.name not in self.known:
            whose = "ours" if self.name.startswith(OURS) else "peers"
            self.ask("input", case.name, input_path(case, whose))
            self.known.add(case.name)

    def time(self, case, repeats=None):
        """Milliseconds of one pass over the case: the median of the repeats after a warm-up."""
        repeats = repeats or case.repeats
        times = self.ask("time", case.name, repeats)["ms"]
        return median(times[1:] or times)

    def processor_seconds(self):
        """Processor time so far, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()

    def __enter__(self):
        """For `with`."""
        return self

    def __exit__(self, *_):
        """For `with`."""
        self.close()


def input_path(case, whose):
    """The file of a case's batches."""
    return prepare.WORK / "inputs" / f"{case.name}.{whose}.json"


def idle_ms(workers, seconds=0.5):
    """Processor milliseconds that each waiting worker uses in a second."""
    before = [worker.processor_seconds() for worker in workers]
    time.sleep(seconds)
    used = [worker.processor_seconds() for worker in workers]
    return {
        worker.name: 1e3 * (after - start) / seconds
        for worker, start, after in zip(workers, before, used, strict=True)
    }


def interleaved(workers, case, rounds, stock_rounds):
    """[{engine: ms, "fma": GFLOPS, "read": GB/s}], one a round, the engines in changing order."""
    limits = next(worker for worker in workers if worker.name == OURS)
    for worker in workers:
        worker.take(case)
    results = []
    for number in range(rounds):
        engines = [w for w in workers if w.name != STOCK or number < stock_rounds]
        shift = number % len(engines)
        sample = {}
        for worker in engines[shift:] + engines[:shift]:
            time.sleep(SETTLE_SECONDS)
            sample[worker.name] = worker.time(case)
        sample["fma"] = limits.ask("fma")["gflops"]
        sample["read"] = limits.ask("read", WEIGHT_BYTES)["gb_per_s"]
        results.append(sample)
    return results


def first_forwards(engine, case, rounds):
    """[{engine: {load, first, later}}] in ms, each from a process of its own."""
    results = []
    for _ in range(rounds):
        sample = {}
        for name in [OURS, *PEERS, STOCK]:
            with Worker(engine, name) as worker:
                worker.take(case)
                first = worker.time(case, 1)
                later = worker.time(case)
                sample[name] = {"load": worker.load_ms, "first": first, "later": later}
        results.append(sample)
    return results
