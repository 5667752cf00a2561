#!/bin/sh
# Everything that docs/performance.md shows, for a machine that does nothing else (about 20 minutes):
#   PYTHON=python sh scripts/bench.sh > performance.txt
# Needs: torch (2.4 or newer) and safetensors for PYTHON, cargo.
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
uname -sm
grep -m1 'model name' /proc/cpuinfo || true
nproc
$python -c 'import torch; print("PyTorch", torch.__version__)'
git rev-parse --short HEAD
cargo bench -q -p eagle-core --no-run
$python scripts/bench_step.py --rounds 5
$python scripts/bench_step.py --rounds 3 --train all --checkpointing
$python scripts/bench_ops.py --rounds 5
