#!/usr/bin/env bash
# Sets up, checks style and types, and runs the tests. Arguments go to pytest, for example:
#   bash launch/test.sh -m slow
set -euo pipefail
# shellcheck source=launch/environment.sh
. "$(dirname "$0")/environment.sh"
prepare_environment test

ruff check .
ruff format --check .
mypy
python -m pytest -q -n "${TEST_PROCESSES:-2}" --dist loadfile "$@"
