#!/usr/bin/env bash
# Sets up, checks style, types and which module imports which, and runs the tests. Arguments go to
# pytest, for example:
#   bash launch/test.sh -m slow
# TEST_EXTRAS=test,tpu,docs adds the TPU compiler (0.7 GB) and what builds the site: without them, what
# needs them is skipped.
set -euo pipefail
# shellcheck source=launch/environment.sh
. "$(dirname "$0")/environment.sh"
prepare_environment "${TEST_EXTRAS:-test}"

# Every process of the suite loads thousands of modules: without what Python keeps of them, also where
# the environment forbids it to be kept beside the sources, each would compile them anew.
export PYTHONDONTWRITEBYTECODE='' PYTHONPYCACHEPREFIX="$PWD/.venv/bytecode"

ruff check .
ruff format --check .
mypy
lint-imports --no-logo
python -m pytest -q -n "${TEST_PROCESSES:-2}" --dist loadfile "$@"
