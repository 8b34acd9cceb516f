#!/usr/bin/env bash
# Runs every benchmark that this machine can do, one after another, on an otherwise idle machine:
#   bash benchmarks/all.sh docs/benchmarks
set -euo pipefail
out=${1:?say where the results go, for example docs/benchmarks}
cd "$(dirname "$0")/.."
python benchmarks/start.py --out="$out"
python benchmarks/losses.py --out="$out"
python benchmarks/memory.py --out="$out"
if python -c 'import libtpu' 2> /dev/null; then
  python benchmarks/scaling.py --out="$out"
fi
if command -v nvidia-smi > /dev/null; then
  contenders=churn_jax,churn_jax-vmap,churn_jax-unroll,torch,torch-channels_last,torch-channels_last-compile,torch-processes-channels_last-compile
  for members in 1 2; do
    python benchmarks/train.py --models=resnet56 --batch=1024 --members=$members --steps=10 \
      --processes=4 --contenders=$contenders --out="$out"
    python benchmarks/train.py --models=resnet_v2_50 --batch=256 --members=$members --runs=2 \
      --processes=4 --contenders=$contenders --out="$out"
  done
else
  python benchmarks/train.py --models=lenet5,resnet20,resnet56 --steps=1 --out="$out"
fi
python benchmarks/compare.py --scaling --out="$out"
python benchmarks/page.py --out="$out"
python benchmarks/coverage.py --out="$out"
pictures=$(mktemp -d)
trap 'rm -rf "$pictures"' EXIT
python benchmarks/make_pictures.py --out="$pictures" --count=20000
python benchmarks/pipeline.py --pictures="$pictures" --out="$out"
