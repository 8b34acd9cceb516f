#!/usr/bin/env bash
# Runs `compare` for action.yml, from what its inputs put into CHURN_…, in an environment of its own.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
out="${CHURN_OUT:-churn-report}"

environment="${RUNNER_TEMP:-$(mktemp -d)}/churn-environment"
if [[ ! -x "$environment/bin/python" ]]; then
  "${CHURN_PYTHON:-python3}" -m venv "$environment"
fi
# What earlier steps may have set for their own packages does not hold here.
unset PYTHONHOME
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
  -r "$root/requirements-compare.txt" -c "$root/constraints.txt"

# As words of a shell, so that quotes hold blanks together; nothing in them is run.
arguments=()
while IFS= read -r -d '' word; do
  arguments+=("$word")
done < <("$environment/bin/python" -c '
import os, shlex, sys
for name in ("CHURN_FILES", "CHURN_ARGUMENTS"):
    for word in shlex.split(os.environ.get(name, "")):
        sys.stdout.write(word + "\0")')
[[ -n "${CHURN_FAIL_IF:-}" ]] && arguments+=("--fail_if=$CHURN_FAIL_IF")
[[ -n "${CHURN_PASS_IF:-}" ]] && arguments+=("--pass_if=$CHURN_PASS_IF")

code=0
PYTHONPATH="$root" "$environment/bin/python" -m churn_jax.compare "${arguments[@]}" "--out=$out" ||
  code=$?
case $code in
  0) outcome=passed ;;
  1) outcome=failed ;;
  3) outcome=undecided ;;
  *) outcome=broken ;;
esac
echo "outcome=$outcome" >> "${GITHUB_OUTPUT:-/dev/null}"
if [[ -f "$out/report.md" ]]; then
  cat "$out/report.md" >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
else
  echo "churn: the comparison is $outcome; the log says why" >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
exit $code
