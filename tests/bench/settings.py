"""Which settings suit each peer best? Its modes in peer.py, paired like everything else.

The modes that PEERS in workers.py names should have no cell well below 1 beside them.
"""

import contextlib

import cases
import prepare
import report
import workers

OTHERS = {
    "PyTorch": ["torch-always-mask"],
    "ONNX Runtime": ["onnxruntime-as-exported", "onnxruntime-no-spinning"],
    "OpenVINO": ["openvino-two-streams"],
}
CASES = ["1x16", "1x128", "32x32", "ragged-sorted"]


def compare(engine, rounds, names):
    """A table of each other mode's time by that of the chosen one."""
    chosen = [case for case in cases.all_cases() if case.name in CASES and case.name in names]
    rows = []
    for peer, modes in OTHERS.items():
        with contextlib.ExitStack() as stack:
            # Ours takes part for the limits' sake.
            running = [
                stack.enter_context(workers.Worker(engine, name))
                for name in (workers.OURS, peer, *modes)
            ]
            results = []
            for case in chosen:
                prepare.tell(f"{peer}, {case.name}")
                count = max(1, rounds // 3) if case.heavy else rounds
                results.append(workers.interleaved(running, case, count, 0))
        for mode in modes:
            pairs = [[sample[mode] / sample[peer] for sample in found] for found in results]
            rows.append([mode, peer, *map(report.cell, pairs)])
    return report.table(["settings", "by the time of", *(case.name for case in chosen)], rows)
