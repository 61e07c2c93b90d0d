#!/usr/bin/env bash
# Shows on a CUDA machine what can be shown on no other: the numbers, the speed, how busy the GPU is.
#
#     tests/bench/cuda.sh [--rounds N]    builds, runs everything, prints Markdown (half an hour)
#     tests/bench/cuda.sh --rehearse      the same on the CPU, small: only whether it runs
#
# Needs NVIDIA's driver and python3; with `nvcc` on PATH that toolkit is used, else tests/cuda/build
# fetches one. The first run makes target/bench/venv with the pinned peers (several GB);
# BERT_EMBED_BENCH_PYTHON names another Python that has them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

rehearse=no
for argument; do
    [ "$argument" != --rehearse ] || rehearse=yes
done
if [ "$rehearse" = no ] && ! { command -v nvidia-smi >/dev/null && nvidia-smi -L | grep -q '^GPU'; }; then
    echo "cuda.sh: there is no GPU here (nvidia-smi lists none): nothing was run" >&2
    echo "  tip: --rehearse runs the same on the CPU, to see that the script works" >&2
    exit 1
fi

python=${BERT_EMBED_BENCH_PYTHON:-}
if [ -z "$python" ]; then
    venv=target/bench/venv
    # The copy is made last: it says that what it lists is installed.
    if ! cmp --quiet tests/bench/requirements.txt "$venv/requirements.txt"; then
        python3 -m venv --clear "$venv"
        "$venv/bin/python" -m pip install --quiet --requirement tests/bench/requirements.txt
        cp tests/bench/requirements.txt "$venv/"
    fi
    python=$venv/bin/python
fi

if [ "$rehearse" = yes ]; then
    exec "$python" tests/bench/cuda.py "$@"
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
if command -v nvcc >/dev/null; then
    exec "$python" tests/bench/cuda.py "$@" --build cargo build --locked --release --features cuda
fi
# What the binary loads at run time: PyTorch's own libraries, so that both have the same cuBLAS, and
# cuRAND.
libraries=target/cuda/libraries
"$python" -m pip install --quiet --no-deps --target "$libraries" --upgrade nvidia-curand==10.4.0.35
pytorch=$("$python" -c 'import nvidia.cu13 as it; print(*it.__path__)')/lib
export LD_LIBRARY_PATH=$pytorch:$PWD/$libraries/nvidia/cu13/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
exec "$python" tests/bench/cuda.py "$@" --build tests/cuda/build
