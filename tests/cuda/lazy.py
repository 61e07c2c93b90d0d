"""Static archives that stand for CUDA's shared libraries and load them at the first call.

    lazy.py DIRECTORY

The build of candle links `-lcuda -lcublas …`: a binary that is linked with NVIDIA's own libraries
does not start where one of them is missing. These archives hold one jump for every function that
the crate cudarc declares; the jump first leads to `dlopen`. So the binary
starts everywhere, and needs the libraries only where it uses a GPU. x86-64 Linux only.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# archive: module of cudarc, names of the shared library in the order in which they are tried;
# src/ops/candle/gpu.rs has those that are required
LIBRARIES = {
    "cuda": ("driver", ["libcuda.so.1", "libcuda.so"]),
    "cublas": ("cublas", ["libcublas.so.13", "libcublas.so.12", "libcublas.so"]),
    "cublasLt": ("cublaslt", ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"]),
    "curand": ("curand", ["libcurand.so.10", "libcurand.so"]),
    "nvrtc": ("nvrtc", ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]),
}

# The arguments are in registers when the first call comes; they are kept until the library is.
RESOLVE = """
    .text
    .type lazy_{library}_first_call,@function
lazy_{library}_first_call:
    push %rax
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %r8
    push %r9
    sub $136, %rsp
{save}
    mov 192(%rsp), %rdi
    call lazy_{library}_resolve
    mov %rax, %r11
{restore}
    add $136, %rsp
    pop %r9
    pop %r8
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    pop %rax
    add $8, %rsp
    jmp *%r11
    .section .note.GNU-stack,"",@progbits
"""

JUMP = """
    .text
    .globl {function}
    .type {function},@function
{function}:
    jmp *lazy_{library}_slots+{offset}(%rip)
.L{index}:
    push ${index}
    jmp lazy_{library}_first_call
    .data
    .quad .L{index}
"""

RESOLVER = """
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

extern __attribute__((visibility("hidden"))) void *lazy_%(library)s_slots[];
static const char *const names[] = {%(names)s};
static const char *const files[] = {%(files)s};

__attribute__((visibility("hidden"))) void *lazy_%(library)s_resolve(long index) {
    static void *library;
    for (unsigned file = 0; !library && file < sizeof files / sizeof *files; ++file)
        library = dlopen(files[file], RTLD_NOW | RTLD_GLOBAL);
    void *function = library ? dlsym(library, names[index]) : 0;
    if (!function) {
        const char *message =
            "error: could not use the GPU: %%s is not in %%s\\n  tip: use --device cpu\\n";
        fprintf(stderr, message, names[index], library ? files[0] : "any library that was found");
        _exit(8);
    }
    lazy_%(library)s_slots[index] = function;
    return function;
}
"""


def source_of(crate: str) -> Path:
    """Where cargo has put the source of a crate of the CUDA build."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--features", "cuda"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    packages = json.loads(said)["packages"]
    return next(Path(it["manifest_path"]).parent for it in packages if it["name"] == crate)


def functions_of(cudarc: Path, module: str) -> list[str]:
    """The functions that cudarc declares for a library."""
    source = (cudarc / "src" / module / "sys" / "mod.rs").read_text()
    return sorted(set(re.findall(r"^ +fn ((?:cu|nvrtc)\w+)\(", source, re.MULTILINE)))


def assembly(library: str, functions: list[str]) -> str:
    """A jump for each function, their table, and the way of a first call."""
    save = "\n".join(f"    movups %xmm{it}, {16 * it}(%rsp)" for it in range(8))
    restore = "\n".join(f"    movups {16 * it}(%rsp), %xmm{it}" for it in range(8))
    table = (
        f"    .data\n    .balign 8\n    .globl lazy_{library}_slots\n"
        f"    .hidden lazy_{library}_slots\nlazy_{library}_slots:\n"
    )
    jumps = (
        JUMP.format(function=function, library=library, index=index, offset=8 * index)
        for index, function in enumerate(functions)
    )
    return table + "".join(jumps) + RESOLVE.format(library=library, save=save, restore=restore)


def main() -> None:
    """Writes every archive."""
    cudarc, directory = source_of("cudarc"), Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for library, (module, files) in LIBRARIES.items():
        functions = functions_of(cudarc, module)
        if not functions:
            sys.exit(f"no function of {library} in {cudarc}: is the declaration another one now?")
        resolver = RESOLVER % {
            "library": library,
            "names": ", ".join(f'"{function}"' for function in functions),
            "files": ", ".join(f'"{file}"' for file in files),
        }
        archive = directory / f"lib{library}.a"
        archive.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            sources = Path(scratch, f"{library}.S"), Path(scratch, f"{library}_resolve.c")
            sources[0].write_text(assembly(library, functions))
            sources[1].write_text(resolver)
            for source in sources:
                compile_ = ["gcc", "-O2", "-fPIC", "-c", source, "-o", source.with_suffix(".o")]
                subprocess.run(compile_, check=True)
            objects = [source.with_suffix(".o") for source in sources]
            subprocess.run(["ar", "rcs", archive, *objects], check=True)
        print(f"{archive}: {len(functions)} functions")


if __name__ == "__main__":
    main()
