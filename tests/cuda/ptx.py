"""Compiles our kernels as the program does at run time, which needs no GPU, and assembles them.

    ptx.py TOOLKIT

NVRTC makes PTX of the kernels for each kind of GPU, ptxas makes machine code of it; the table shows
what a kernel takes of a processor of the GPU. Fails where either refuses, where a thread keeps more
than a few bytes in memory, or where a kernel needs more shared memory than every GPU has.
"""

import ctypes
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# As gpu.rs joins them.
KERNELS = ["kernels.cu", "attention.cu", "tensor_attention.cu", "attention_probs.cu"]
DIRECTORY = Path(__file__).resolve().parents[2] / "src" / "ops" / "cuda"
# Turing, Ampere, Hopper, Blackwell.
ARCHITECTURES = ["75", "80", "90", "100"]
TYPES = ["f32", "f16", "bf16"]
WIDTHS, HEADS = ["1", "4"], ["64", "128"]
# Operation, its number types, its variants, the architectures that it is used on.
OPERATIONS = [
    ("bias_activation", TYPES, WIDTHS, ARCHITECTURES),
    ("add_layer_norm", TYPES, WIDTHS, ARCHITECTURES),
    ("embeddings", TYPES, WIDTHS, ARCHITECTURES),
    ("select", TYPES, WIDTHS, ARCHITECTURES),
    ("widen", TYPES[1:], WIDTHS, ARCHITECTURES),
    ("attention", TYPES[:1], HEADS, ARCHITECTURES),
    ("attention", TYPES[1:], HEADS, ARCHITECTURES[:1]),
    ("tensor_attention", TYPES[1:], HEADS, ARCHITECTURES[1:]),
    ("attention_probs", TYPES, ["1"], ARCHITECTURES),
]
# The options of gpu.rs.
DEFINITIONS = subprocess.check_output([Path(__file__).with_name("definitions")], text=True).split()
OPTIONS = ["--gpu-architecture=compute_{}", "--std=c++17", *DEFINITIONS]
MAX_SHARED_BYTES = 48 * 1024
# ptxas spills a register or two of the attention for the sake of one more block a processor (8
# bytes a thread at most when this was written); more would be a defect.
MAX_SPILLED_BYTES = 16


def kernels(architecture):
    """What asks for every kernel of one kind of GPU."""
    return "".join(
        f"KERNEL_{operation}({dtype}, {variant})\n"
        for operation, types, variants, architectures in OPERATIONS
        for dtype in types
        for variant in variants
        if architecture in architectures
    )


def ptx_of(nvrtc, source, architecture):
    """The PTX of the kernels for one kind of GPU."""
    program = ctypes.c_void_p()
    made = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"kernels.cu", 0, None, None)
    if made != 0:
        sys.exit(f"NVRTC takes no program: error {made}")
    options = [option.format(architecture).encode() for option in OPTIONS]
    array = (ctypes.c_char_p * len(options))(*options)
    compiled = nvrtc.nvrtcCompileProgram(program, len(options), array)
    if compiled != 0:
        sys.exit(f"sm_{architecture}:\n{text_of(nvrtc, program, 'ProgramLog').decode()}")
    return text_of(nvrtc, program, "PTX")


def text_of(nvrtc, program, what):
    """What NVRTC has to say of a program."""
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, text)
    return text.value


def usage_of(toolkit, ptx, architecture):
    """{kernel: (registers, bytes spilled, bytes of shared memory)}"""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "kernels.ptx")
        path.write_bytes(ptx)
        command = [toolkit / "bin" / "ptxas", "-v", f"-arch=sm_{architecture}", path]
        command += ["-o", Path(scratch, "kernels.cubin")]
        said = subprocess.run(command, capture_output=True, text=True)
    if said.returncode:
        sys.exit(f"sm_{architecture}:\n{said.stderr}")
    usage = {}
    for part in said.stderr.split("Compiling entry function '")[1:]:
        number = {
            what: int(found[1]) if (found := re.search(pattern, part)) else 0
            for what, pattern in {
                "registers": r"Used (\d+) registers",
                "spilled": r"(\d+) bytes spill stores",
                "stack": r"(\d+) bytes stack frame",
                "shared": r"(\d+) bytes smem",
            }.items()
        }
        usage[part.split("'")[0]] = number
    return usage


def main():
    """Prints the table of each kind of GPU."""
    toolkit = Path(sys.argv[1])
    # It looks for its builtins by name.
    ctypes.CDLL(str(next((toolkit / "lib").glob("libnvrtc-builtins.so.*"))), ctypes.RTLD_GLOBAL)
    nvrtc = ctypes.CDLL(str(next((toolkit / "lib").glob("libnvrtc.so.*"))))
    source = "".join((DIRECTORY / name).read_text() for name in KERNELS)
    wrong = []
    for architecture in ARCHITECTURES:
        asked_for = (source + kernels(architecture)).encode()
        # As gpu.rs does: newer ones run the program of an Ampere.
        ptx = ptx_of(nvrtc, asked_for, min(architecture, "80", key=int))
        usage = usage_of(toolkit, ptx, architecture)
        for kernel, number in sorted(usage.items()):
            said = ", ".join(f"{what} {count}" for what, count in number.items())
            print(f"sm_{architecture} {kernel}: {said}")
            if number["stack"] > MAX_SPILLED_BYTES or number["shared"] > MAX_SHARED_BYTES:
                wrong.append(f"sm_{architecture} {kernel}")
    if wrong:
        sys.exit(f"keep numbers in memory, or need too much shared memory: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
