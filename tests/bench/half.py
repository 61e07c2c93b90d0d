"""Weights stored in half precision: what they gain in time, and what they cost in the numbers."""

import contextlib
from types import SimpleNamespace

import numpy as np

import agreement
import cases
import prepare
import report
import workers

DTYPES = ["f16", "bf16"]
CASES = ["1x16", "1x32", "1x128", "32x32"]


def measure(engine, rounds):
    """{"times": {case: [{engine: ms}]}, "errors": {engine: {max, mean, cosine}}}."""
    agreed = SimpleNamespace(name="agreement")
    for whose in ("ours", "peers"):
        cases.write(workers.input_path(agreed, whose), cases.agreement_batches())
    with workers.Worker(engine, workers.REFERENCE) as reference:
        exact = agreement.vectors(reference, agreed)
    names = [workers.OURS, *(f"{workers.OURS} {dtype}" for dtype in DTYPES)]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(workers.Worker(engine, name)) for name in names]
        errors = {it.name: distances(agreement.vectors(it, agreed), exact) for it in running}
        times = {}
        for case in cases.all_cases():
            if case.name in CASES:
                prepare.tell(f"half precision, {case.name}")
                times[case.name] = workers.interleaved(running, case, rounds, 0)
    return {"times": times, "errors": errors}


def distances(states, exact):
    """Errors of all values, and the cosine of the worst token."""
    error = np.abs(states - exact)
    cosine = agreement.worst_cosine(*(it.reshape(-1, cases.HIDDEN) for it in (states, exact)))
    return {"max": float(error.max()), "mean": float(error.mean()), "cosine": cosine}


def table(figures):
    """A Markdown table: f32's time by the time with half weights, and the errors."""
    rows = []
    for name, errors in figures["errors"].items():
        samples = [figures["times"][case] for case in CASES]
        pairs = [[sample[workers.OURS] / sample[name] for sample in case] for case in samples]
        shown = [f"{errors['max']:.1e}", f"{errors['mean']:.1e}", f"{errors['cosine']:.7f}"]
        rows.append([name, *map(report.cell, pairs), *shown])
    header = ["weights", *CASES, "largest error against float64", "mean", "worst cosine"]
    return report.table(header, rows)
