"""A worker of the benchmark: one peer, loaded once, timed on command (see engine/main.rs).

    python peer.py MODE DIR

The modes are in PEERS. torch, onnxruntime and openvino have the settings that were fastest; the
others are what settings.py compares them with. Tokens are padded and turned into the peer's own
arrays before the clock starts.
"""

import functools
import json
import os
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

    def __init__(self, directory, dtype="float32", always_mask=False):
        """Loads the model as users do."""
        import torch
        from transformers import BertModel

        torch.set_num_threads(THREADS)
        self.torch, self.always_mask = torch, always_mask
        dtype = getattr(torch, dtype)
        self.model = BertModel.from_pretrained(
            directory, attn_implementation="sdpa", dtype=dtype
        ).eval()

    def prepare(self, batch):
        """The arguments of one call."""
        input_ids, attention_mask = map(self.torch.from_numpy, padded(batch))
        # All ones mean the same as no mask and cost a little.
        if attention_mask.all() and not self.always_mask:
            return {"input_ids": input_ids}
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def run(self, prepared):
        """last_hidden_state `[batch, seq, hidden]`."""
        with self.torch.inference_mode():
            states = self.model(**prepared).last_hidden_state
            # numpy has no bfloat16.
            return (states.float() if states.dtype == self.torch.bfloat16 else states).numpy()

    def run_all(self, prepared):
        """Every batch, one after the other."""
        for one in prepared:
            self.run(one)


class TorchOnDevice(Torch):
    """The same on a GPU, as it is or compiled; a run ends when the GPU has."""

    def __init__(self, directory, dtype, compiled):
        """Loads the model onto the device that cuda.py names."""
        super().__init__(directory, dtype)
        self.device = os.environ.get("BERT_EMBED_BENCH_DEVICE", "cuda")
        self.model.to(self.device)
        if compiled:
            self.model = self.torch.compile(self.model)

    def prepare(self, batch):
        """The arguments of one call, on the device."""
        return {name: it.to(self.device) for name, it in super().prepare(batch).items()}

    def run(self, prepared):
        """last_hidden_state `[batch, seq, hidden]`."""
        with self.torch.inference_mode():
            return self.model(**prepared).last_hidden_state.float().cpu().numpy()

    def run_all(self, prepared):
        """Every batch, one after the other; the numbers stay on the device."""
        with self.torch.inference_mode():
            for one in prepared:
                self.model(**one)
        if self.device == "cuda":
            self.torch.cuda.synchronize()


class Products(TorchOnDevice):
    """The layers' matrix products alone, by PyTorch: what a forward takes at least."""

    def prepare(self, batch):
        """The vectors that the batch's real tokens would have."""
        size = sum(map(len, batch)), self.model.config.hidden_size
        return self.torch.randn(size, device=self.device, dtype=self.model.dtype)

    def layer(self, layer, hidden):
        """Query, key and value in one product, then the three others."""
        functional = self.torch.nn.functional
        functional.linear(hidden, self.query_key_value[layer])
        hidden = functional.linear(hidden, layer.attention.output.dense.weight)
        hidden = functional.linear(hidden, layer.intermediate.dense.weight)
        functional.linear(hidden, layer.output.dense.weight)

    def run_all(self, prepared):
        """Every batch, one after the other."""
        with self.torch.inference_mode():
            for hidden in prepared:
                for layer in self.model.encoder.layer:
                    self.layer(layer, hidden)
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    @functools.cached_property
    def query_key_value(self):
        """{layer: the three weights end to end}"""
        weights = {}
        for layer in self.model.encoder.layer:
            ours = layer.attention.self
            parts = [ours.query.weight, ours.key.weight, ours.value.weight]
            weights[layer] = self.torch.cat(parts).detach()
        return weights


class OnnxRuntime:
    """The exported graph after onnxruntime.transformers.optimizer."""

    def __init__(self, directory, graph="fused.onnx", spin=True):
        """Opens the graph."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        # Threads spin while a run lasts, and stop with it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if not spin:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(Path(directory) / graph), options, providers=["CPUExecutionProvider"]
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

    run_all = Torch.run_all


class OpenVino:
    """The exported graph, compiled once for any shape."""

    def __init__(self, directory, streams=1):
        """Compiles the graph."""
        import openvino

        hints = {
            "INFERENCE_NUM_THREADS": THREADS,
            "NUM_STREAMS": streams,
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            # Where the processor has AMX the default is bfloat16, which is not what we compute.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        path = Path(directory) / "model.onnx"
        model = openvino.Core().compile_model(path, "CPU", hints)
        self.request = model.create_infer_request()
        self.queue = openvino.AsyncInferQueue(model, streams)
        self.streams = streams

    prepare = OnnxRuntime.prepare

    def run(self, prepared):
        """last_hidden_state `[batch, seq, hidden]`, valid until the next call."""
        return self.request.infer(prepared, share_inputs=True, share_outputs=True)[0]

    def run_all(self, prepared):
        """Every batch, as many at once as there are streams."""
        if self.streams == 1:
            return Torch.run_all(self, prepared)
        for one in prepared:
            self.queue.start_async(one, share_inputs=True)
        return self.queue.wait_all()


PEERS = {
    "torch": Torch,
    "torch-always-mask": lambda directory: Torch(directory, always_mask=True),
    "torch-float64": lambda directory: Torch(directory, "float64"),
    "torch-bfloat16": lambda directory: Torch(directory, "bfloat16"),
    "onnxruntime": OnnxRuntime,
    "onnxruntime-as-exported": lambda directory: OnnxRuntime(directory, "model.onnx"),
    "onnxruntime-no-spinning": lambda directory: OnnxRuntime(directory, spin=False),
    "onnxruntime-int8": lambda directory: OnnxRuntime(directory, "int8.onnx"),
    "openvino": OpenVino,
    "openvino-two-streams": lambda directory: OpenVino(directory, streams=2),
}
for _dtype in ("float32", "float16", "bfloat16"):
    for _how in ("eager", "compiled"):
        PEERS[f"torch-{_how}-{_dtype}"] = lambda directory, dtype=_dtype, how=_how: TorchOnDevice(
            directory, dtype, how == "compiled"
        )
    PEERS[f"products-{_dtype}"] = lambda directory, dtype=_dtype: Products(directory, dtype, False)


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
            return {"ms": [timed(lambda: peer.run_all(prepared)) for _ in range(int(repeats))]}
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
