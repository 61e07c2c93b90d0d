"""A worker of the benchmark: one peer, loaded once, timed on command (see engine/main.rs).

    python peer.py torch|torch-float64|onnxruntime|openvino DIR

Each peer runs with the best settings that were found for it, which `ready` tells. Tokens are
padded and turned into the peer's own arrays before the clock starts.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

THREADS = 2


def padded(batch):
    """input_ids and attention_mask, `[batch, seq]` each."""
    seq = max(len(ids) for ids in batch)
    input_ids = np.zeros((len(batch), seq), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, ids in enumerate(batch):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return input_ids, attention_mask


class Torch:
    """transformers' BertModel with scaled_dot_product_attention under inference_mode."""

    settings = "SDPA, inference_mode, no mask where nothing is padded"

    def __init__(self, directory, dtype="float32"):
        """Loads the model as users do."""
        import torch
        from transformers import BertModel

        torch.set_num_threads(THREADS)
        self.torch = torch
        dtype = getattr(torch, dtype)
        self.model = BertModel.from_pretrained(
            directory, attn_implementation="sdpa", dtype=dtype
        ).eval()

    def prepare(self, batch):
        """The arguments of one call."""
        input_ids, attention_mask = map(self.torch.from_numpy, padded(batch))
        # All ones mean the same as no mask and cost a little.
        return {"input_ids": input_ids} | (
            {} if attention_mask.all() else {"attention_mask": attention_mask}
        )

    def run(self, prepared):
        """last_hidden_state `[batch, seq, hidden]`."""
        with self.torch.inference_mode():
            return self.model(**prepared).last_hidden_state.numpy()


class OnnxRuntime:
    """The exported graph after onnxruntime.transformers.optimizer."""

    settings = "graph fused by onnxruntime.transformers, spinning inside a run only"

    def __init__(self, directory):
        """Opens the fused graph."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        # Threads spin while a run lasts, which is fastest, and stop with it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        path = str(Path(directory) / "fused.onnx")
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, batch):
        """The inputs of one call."""
        input_ids, attention_mask = padded(batch)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": np.zeros_like(input_ids),
        }

    def run(self, prepared):
        """last_hidden_state `[batch, seq, hidden]`."""
        return self.session.run(None, prepared)[0]


class OpenVino:
    """The exported graph, compiled once for any shape."""

    settings = "latency hint, one stream, f32 precision, shared inputs and outputs"

    def __init__(self, directory):
        """Compiles the graph."""
        import openvino

        hints = {
            "INFERENCE_NUM_THREADS": THREADS,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            # Where the processor has AMX the default is bfloat16, which is not what we compute.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        path = Path(directory) / "model.onnx"
        self.request = openvino.Core().compile_model(path, "CPU", hints).create_infer_request()

    prepare = OnnxRuntime.prepare

    def run(self, prepared):
        """last_hidden_state `[batch, seq, hidden]`, valid until the next call."""
        return self.request.infer(prepared, share_inputs=True, share_outputs=True)[0]


PEERS = {
    "torch": Torch,
    "torch-float64": lambda directory: Torch(directory, "float64"),
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}


def timed(action):
    """Milliseconds of one call."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def save(peer, batches, path):
    """The vectors of the real tokens, `[tokens, hidden]`, in float64 so that none lose digits."""
    rows = []
    for batch in batches:
        states = peer.run(peer.prepare(batch))
        rows += [states[row, : len(ids)].astype(np.float64) for row, ids in enumerate(batch)]
    np.concatenate(rows).tofile(path)


def obey(peer, inputs, words):
    """The answer to one command."""
    match words:
        case ["input", name, path]:
            batches = json.loads(Path(path).read_text())
            inputs[name] = (batches, [peer.prepare(batch) for batch in batches])
            return {}
        case ["time", name, repeats]:
            prepared = inputs[name][1]
            run_all = lambda: [peer.run(one) is None for one in prepared]  # noqa: E731
            return {"ms": [timed(run_all) for _ in range(int(repeats))]}
        case ["save", name, path]:
            save(peer, inputs[name][0], path)
            return {}


def main():
    """Loads the peer and answers until standard input ends."""
    _, name, directory = sys.argv
    # Whatever a library prints goes elsewhere than the answers.
    answers, sys.stdout = sys.stdout, sys.stderr

    def answer(document):
        print(json.dumps(document), file=answers, flush=True)

    start = time.perf_counter()
    peer = PEERS[name](directory)
    answer({"load_ms": (time.perf_counter() - start) * 1e3})
    inputs = {}
    for line in sys.stdin:
        answer(obey(peer, inputs, line.split()))


if __name__ == "__main__":
    main()
