"""Are all engines computing the same thing? Their vectors against float64 and against ours."""

import sys
from types import SimpleNamespace

import numpy as np

import cases
import prepare
import workers

# Any engine in f32 is below it on this checkpoint; one in bfloat16 is far above.
TOLERANCE = 5e-5


def vectors(worker, case):
    """last_hidden_state of the real tokens, flat, in float64."""
    worker.take(case)
    path = prepare.WORK / "vectors.bin"
    worker.ask("save", case.name, path)
    rust = worker.name.startswith((workers.OURS, workers.STOCK))
    return np.fromfile(path, dtype=np.float32 if rust else np.float64).astype(np.float64)


def worst_cosine(rows, exact):
    """The smallest cosine between a row and the exact one."""
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(exact, axis=1)
    return float(((rows * exact).sum(axis=1) / lengths).min())


def measure(engine, running):
    """{engine: {max, mean, from_ours}}: errors against float64, and the distance from ours."""
    case = SimpleNamespace(name="agreement")
    for whose in ("ours", "peers"):
        cases.write(workers.input_path(case, whose), cases.agreement_batches())
    with workers.Worker(engine, workers.REFERENCE) as reference:
        exact = vectors(reference, case)
    found = {worker.name: vectors(worker, case) for worker in running}
    ours = found[workers.OURS]
    figures = {}
    for name, states in found.items():
        error = np.abs(states - exact)
        figures[name] = {
            "max": float(error.max()),
            "mean": float(error.mean()),
            "from_ours": float(np.abs(states - ours).max()),
        }
        # NaN passes no comparison.
        if not error.max() <= TOLERANCE:
            sys.exit(f"bench: {name} is off by {error.max():.1e}: its times mean nothing")
    return figures
