"""What the benchmark needs before it can run: our builds, the checkpoints, the exported graph.

Everything lies under target/bench and is made once.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "target" / "bench"
BASE = WORK / "base"
GRAPHS, MINILM_GRAPHS = WORK / "onnx", WORK / "onnx-minilm"
MINILM = ROOT / "target" / "all-MiniLM-L6-v2"
FIXTURES = HERE.parent / "fixtures"

# Largest difference between the exported graph and the model it came from.
EXPORT_TOLERANCE = 1e-4

# For every process: no network, and nothing but answers on standard output.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def tell(what):
    """Progress, apart from the table."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


def build(command=("cargo", "build", "--locked", "--profile", "bench")):
    """The paths of the binary and of the engine worker, built by `command`; candle is optimized."""
    tell("building")
    command = [*command, "--bin", "bert-embed"]
    command += ["--bench", "engine", "--message-format=json-render-diagnostics"]
    made = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    found = {}
    for line in made.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            found[message["target"]["name"]] = message["executable"]
    return found["bert-embed"], found["engine"]


def checkpoints():
    """The base-shaped checkpoint, and real weights for the bulk row."""
    if not (BASE / "model.safetensors").exists():
        tell("writing the base-shaped checkpoint")
        command = [sys.executable, FIXTURES / "make.py", "checkpoint", "base", BASE]
        subprocess.run(command, check=True, stdout=subprocess.PIPE)
    if not (minilm() / "model.safetensors").exists():
        tell("fetching all-MiniLM-L6-v2")
        subprocess.run([FIXTURES / "minilm.sh", minilm()], check=True)


def minilm():
    """The directory of the real model."""
    return Path(os.environ.get("BERT_EMBED_MINILM", MINILM))


def graphs(directory=BASE, to=GRAPHS):
    """model.onnx as torch exports it, and fused.onnx as onnxruntime's own optimizer leaves it."""
    if (to / "fused.onnx").exists():
        return
    tell(f"exporting {directory.name} to ONNX")
    to.mkdir(parents=True, exist_ok=True)
    export(directory, to / "model.onnx")
    from onnxruntime.transformers import optimizer

    # Only the fusions: onnxruntime does the rest itself when it opens the file.
    config = json.loads((directory / "config.json").read_text())
    fused = optimizer.optimize_model(
        str(to / "model.onnx"),
        "bert",
        num_heads=config["num_attention_heads"],
        hidden_size=config["hidden_size"],
        opt_level=0,
    )
    tell(f"fused {fused.get_fused_operator_statistics()}")
    # Written last: it says that everything before it is complete.
    fused.save_model_to_file(str(to / "unchecked.onnx"))
    check(directory, to / "unchecked.onnx")
    (to / "unchecked.onnx").rename(to / "fused.onnx")


def quantized(to=GRAPHS):
    """int8.onnx: fused.onnx after onnxruntime's dynamic quantization, per channel."""
    if (to / "int8.onnx").exists():
        return
    tell("quantizing the ONNX graph")
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(
        to / "fused.onnx",
        to / "unfinished.onnx",
        per_channel=True,
        reduce_range=not has_vnni(),
        # What the fused operators give, which shape inference does not know.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    (to / "unfinished.onnx").rename(to / "int8.onnx")


def has_vnni():
    """Whether int8 products are summed in 32 bits; onnxruntime advises weights of 7 bits if not."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return "avx512_vnni" in flags or "avx_vnni" in flags


def model(directory):
    """transformers' model of a checkpoint, with the attention that fuses."""
    from transformers import BertModel

    return BertModel.from_pretrained(directory, attn_implementation="eager").eval()


def example():
    """A batch with padding: (input_ids, attention_mask, token_type_ids)."""
    import torch

    input_ids = torch.arange(1000, 1032).reshape(2, 16)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 9:] = 0
    return input_ids, attention_mask, torch.zeros_like(input_ids)


def export(directory, path):
    """Writes the graph with batch and seq left open."""
    import torch

    names = ["input_ids", "attention_mask", "token_type_ids"]

    class Named(torch.nn.Module):
        """The model by position, as the exporter calls it."""

        def __init__(self):
            super().__init__()
            self.model = model(directory)

        def forward(self, *values):
            outputs = self.model(**dict(zip(names, values, strict=True)))
            return outputs.last_hidden_state, outputs.pooler_output

    axes = {name: {0: "batch", 1: "seq"} for name in [*names, "last_hidden_state"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Named(),
            example(),
            str(path),
            input_names=names,
            output_names=["last_hidden_state", "pooler_output"],
            dynamic_axes=axes | {"pooler_output": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


def check(directory, path):
    """Refuses a graph that does not give the model's numbers."""
    import onnxruntime
    import torch

    batch = dict(zip(["input_ids", "attention_mask", "token_type_ids"], example(), strict=True))
    with torch.inference_mode():
        expected = model(directory)(**batch).last_hidden_state.numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in batch.items()})[0]
    # Padded rows mean nothing.
    real = batch["attention_mask"].numpy() == 1
    difference = abs(found - expected)[real].max()
    tell(f"the graph differs from the model by {difference:.1e} at most")
    if not difference <= EXPORT_TOLERANCE:
        sys.exit("bench: the exported graph is not the model")
