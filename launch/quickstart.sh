#!/usr/bin/env bash
# Sets up, trains 10 independent runs of the baseline, of the paper's co-distilled pairs and of the
# most stable method of docs/results, pairs that all start from the same weights and predict by
# their mean, on scikit-learn's digits, and compares them. Usage: bash launch/quickstart.sh [WORKDIR]
set -euo pipefail
# shellcheck source=launch/environment.sh
. "$(dirname "$0")/environment.sh"
prepare_environment ""
workdir=${1:-runs/quickstart}

python -m churn_jax.main --config=configs/digits.py:baseline --workdir="$workdir/baseline"
python -m churn_jax.main --config=configs/digits_codistill.py --workdir="$workdir/codistill_skl"
python -m churn_jax.main --config=configs/digits_codistill.py --workdir="$workdir/same_start_mean" \
    --config.method.label=same_start_mean --config.method.prediction=mean \
    --config.randomness.vary='("order", "augmentation")'
python -m churn_jax.evaluate --out="$workdir/report" \
    --runs="$workdir/baseline,$workdir/codistill_skl,$workdir/same_start_mean"
