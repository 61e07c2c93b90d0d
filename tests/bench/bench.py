"""The benchmark: what runs, in which order, and where the figures go.

Called by tests/bench/run. Prints Markdown, and writes every single time to
target/bench/results.json.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
from pathlib import Path

import agreement
import cases
import figure
import half
import integers
import prepare
import processes
import report
import settings
import workers
from workers import OURS, PEERS, STOCK

INTEGERS = ["integers", "fidelity", "programs"]
PARTS = ["agreement", "half", "first", "cold", "memory", "bulk", *INTEGERS]


def arguments():
    """What was typed."""
    names = [case.name for case in cases.all_cases()]
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="few rounds of small cases: a smoke run"
    )
    parser.add_argument(
        "--cases", help=f"comma-separated, of {', '.join(names + PARTS)}; default: all"
    )
    parser.add_argument(
        "--only", choices=["integers"], help="int16 and int8, over the cases, and nothing else"
    )
    parser.add_argument("--rounds", type=int, help="rounds of each case; heavy ones get a third")
    parser.add_argument("--stock-rounds", type=int, default=3, help="rounds that include candle")
    parser.add_argument(
        "--settings", action="store_true", help="compare the peers' settings, and nothing else"
    )
    given = parser.parse_args()
    given.rounds = given.rounds or (3 if given.quick else 15)
    small = ["1x16", "1x32", "1x128", "32x32"]
    default = small + PARTS if given.quick else names + PARTS
    given.cases = given.cases.split(",") if given.cases else default
    unknown = set(given.cases) - set(names + PARTS)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    if given.only:
        given.cases = [*(name for name in given.cases if name in names), *INTEGERS]
    return given


class Record:
    """Everything measured, written after each part: a run that is cut short keeps what it has."""

    def __init__(self):
        """Starts with what the figures rest on."""
        versions = ["torch", "transformers", "onnxruntime", "openvino"]
        self.figures = {
            "processor": processor(),
            "versions": {name: importlib.metadata.version(name) for name in versions},
        }
        self.path = prepare.WORK / "results.json"

    def keep(self, name, figures, shown):
        """Stores figures and prints their table."""
        self.figures[name] = figures
        self.path.write_text(json.dumps(self.figures, indent=1) + "\n")
        print(f"\n{shown}", flush=True)


def processor():
    """The processor's name as Linux gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} processors" if names else "unknown"


def live_engines(given, record, engine):
    """The parts in which every engine stays loaded."""
    chosen = [case for case in cases.all_cases() if case.name in given.cases]
    if given.only or not (chosen or "agreement" in given.cases):
        return
    with contextlib.ExitStack() as stack:
        running = []
        for name in [OURS, *PEERS, STOCK]:
            prepare.tell(f"loading {name}")
            running.append(stack.enter_context(workers.Worker(engine, name)))
        if "agreement" in given.cases:
            figures = agreement.measure(engine, running)
            record.keep("agreement", figures, report.agreement_table(figures))
        if not chosen:
            return
        results = []
        for case in chosen:
            rounds = max(1, given.rounds // 3) if case.heavy else given.rounds
            stock = 1 if case.heavy else given.stock_rounds
            prepare.tell(f"{case.name}, {rounds} rounds")
            results.append((case, workers.interleaved(running, case, rounds, stock)))
        idle = workers.idle_ms(running)
        prepare.tell(f"idle workers use, in ms of a second: {idle}")
        record.figures["idle_ms"] = idle
        figures = {case.name: rounds for case, rounds in results}
        record.keep("cases", figures, report.cases_table(results, cases.WEIGHT_BYTES))
        if not given.quick:
            figure.write()


def whole_processes(given, record, binary, engine):
    """The parts with processes of their own."""
    rounds = max(2, given.rounds // 3)
    if "half" in given.cases:
        figures = half.measure(engine, given.rounds)
        record.keep("half", figures, half.table(figures))
    if "first" in given.cases:
        prepare.tell("first forwards")
        smallest = cases.all_cases()[0]
        figures = workers.first_forwards(engine, smallest, rounds)
        record.keep("first", figures, report.firsts_table(figures))
    if "cold" in given.cases:
        prepare.tell("cold start")
        figures = processes.cold_start(binary, engine, given.rounds, given.stock_rounds)
        record.keep("cold", figures, report.processes_table("one sentence", "ms", figures))
    if "memory" in given.cases:
        prepare.tell("memory")
        figures = processes.memory(binary, engine)
        record.keep("memory", figures, report.memory_table(figures))
    if "bulk" in given.cases:
        lines = 200 if given.quick else 2000
        prepare.tell(f"{lines} lines to JSON")
        figures = processes.bulk(binary, lines, 1 if given.quick else 3)
        shown = report.processes_table(f"{lines} lines, all-MiniLM", "s", figures)
        record.keep("bulk", figures, shown)


def integer_parts(given, record, binary, engine):
    """What concerns `--dtype int16` and `int8`."""
    chosen = [case for case in cases.all_cases() if case.name in given.cases]
    if "integers" in given.cases and chosen:
        results = integers.speed(engine, chosen, given.rounds)
        figures = {case.name: rounds for case, rounds in results}
        record.keep("integers", figures, integers.speed_table(results))
    if "fidelity" in given.cases:
        prepare.tell("fidelity of integers")
        figures = integers.fidelity(engine)
        record.keep("fidelity", figures, integers.fidelity_table(figures))
    if "programs" in given.cases:
        lines = 200 if given.quick else 2000
        prepare.tell(f"{lines} lines in each dtype")
        figures = processes.programs(binary, lines, max(1, given.rounds // 3))
        record.keep("programs", figures, report.programs_table(lines, figures))


def main():
    """Prepares, measures, prints."""
    given = arguments()
    prepare.WORK.mkdir(parents=True, exist_ok=True)
    os.environ.update(prepare.QUIET)
    binary, engine = prepare.build()
    prepare.checkpoints()
    prepare.graphs()
    for case in cases.all_cases():
        cases.write(workers.input_path(case, "ours"), case.ours)
        cases.write(workers.input_path(case, "peers"), case.peers)
    if given.settings:
        print(settings.compare(engine, given.rounds, given.cases))
        return
    record = Record()
    versions = ", ".join(f"{name} {v}" for name, v in record.figures["versions"].items())
    print(f"{record.figures['processor']}; f32, two threads; {versions}.")
    live_engines(given, record, engine)
    whole_processes(given, record, binary, engine)
    integer_parts(given, record, binary, engine)


if __name__ == "__main__":
    main()
