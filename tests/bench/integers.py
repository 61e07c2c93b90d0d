"""`--dtype int16` and `int8`: what they gain in time beside f32 and ONNX Runtime's int8, and what
they cost in the numbers beside that and PyTorch's bfloat16."""

import contextlib
import json
from types import SimpleNamespace

import numpy as np

import agreement
import cases
import prepare
import report
import workers
from workers import ORT_INT8, OURS, TORCH_BF16

INT16, INT8 = f"{OURS} int16", f"{OURS} int8"


def speed(engine, chosen, rounds):
    """[(case, [{engine: ms}])], one sample a round."""
    prepare.quantized()
    results = []
    with contextlib.ExitStack() as stack:
        names = [OURS, INT16, INT8, ORT_INT8]
        running = [stack.enter_context(workers.Worker(engine, name)) for name in names]
        for case in chosen:
            count = max(1, rounds // 3) if case.heavy else rounds
            prepare.tell(f"integers, {case.name}, {count} rounds")
            results.append((case, workers.interleaved(running, case, count, 0)))
    return results


def speed_table(results):
    """Each pair's slower time by the faster one's."""
    pairs = {
        "int16 by our f32": (OURS, INT16),
        "int8 by our f32": (OURS, INT8),
        "int8 by ONNX Runtime's int8": (ORT_INT8, INT8),
    }
    rows = [
        [
            case.name,
            *(report.cell([it[slow] / it[fast] for it in rounds]) for slow, fast in pairs.values()),
        ]
        for case, rounds in results
    ]
    return report.table(["case", *pairs], rows)


def fidelity(engine):
    """{engine: {worst token, worst mean, mean error}} on real weights, against float64."""
    directory, graphs = prepare.minilm(), prepare.MINILM_GRAPHS
    prepare.graphs(directory, graphs)
    prepare.quantized(graphs)
    texts = token_ids(directory)
    case = SimpleNamespace(name="fidelity")
    for whose in ("ours", "peers"):
        # A text a batch: padding would change the range that ONNX Runtime quantizes.
        cases.write(workers.input_path(case, whose), [[ids] for ids in texts])
    ends = np.cumsum([len(ids) for ids in texts])

    def vectors(name):
        with workers.Worker(engine, name, directory, graphs) as worker:
            return agreement.vectors(worker, case).reshape(ends[-1], -1)

    exact = vectors(workers.REFERENCE)
    names = [OURS, INT16, INT8, TORCH_BF16, ORT_INT8]
    return {name: distances(vectors(name), exact, ends) for name in names}


def token_ids(directory):
    """The texts of the fidelity tests."""
    from transformers import AutoTokenizer

    goldens = json.loads((prepare.FIXTURES / "goldens" / "integers.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(directory)
    texts = tokenizer(goldens["texts"], truncation=True, max_length=goldens["max_length"])
    return texts["input_ids"]


def distances(states, exact, ends):
    """How far the vectors of all tokens, and the means of the texts, are from the exact ones."""
    sums = [np.add.reduceat(it, [0, *ends[:-1]]) for it in (states, exact)]
    return {
        "token": agreement.worst_cosine(states, exact),
        "mean": agreement.worst_cosine(*sums),
        "error": float(np.abs(states - exact).mean()),
    }


def fidelity_table(figures):
    """A Markdown table; cosines as their distance from 1."""
    rows = [
        [name, f"{1 - it['token']:.1e}", f"{1 - it['mean']:.1e}", f"{it['error']:.1e}"]
        for name, it in figures.items()
    ]
    header = ["all-MiniLM-L6-v2", "1 - worst token's cosine", "1 - worst mean's cosine"]
    return report.table([*header, "mean error"], rows)
