#!/usr/bin/env bash
# Sets up, trains 10 independent runs of the baseline and of co-distilled pairs on scikit-learn's
# digits, and compares them. Usage: bash launch/quickstart.sh [WORKDIR]
set -euo pipefail
# shellcheck source=launch/environment.sh
. "$(dirname "$0")/environment.sh"
prepare_environment ""
workdir=${1:-runs/quickstart}

python -m churn_jax.main --config=configs/digits.py:baseline --workdir="$workdir/baseline"
python -m churn_jax.main --config=configs/digits_codistill.py --workdir="$workdir/codistill_skl"
python -m churn_jax.evaluate --runs="$workdir/baseline,$workdir/codistill_skl" --out="$workdir/report"
