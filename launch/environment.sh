# shellcheck shell=bash
# Sourced by the other scripts: makes .venv with the pinned packages, once, and activates it.
#
#   prepare_environment EXTRA   (an extra of setup.py, or nothing)
#
# It also asks glibc for large pages, without which a training step on a CPU can take half as long again.
# PYTHON names the interpreter to use (3.11, 3.12 or 3.13); default python3.

prepare_environment() {
  local root extra=${1:+[$1]} wanted stamp
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  cd "$root" || return
  if ! "${PYTHON:-python3}" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
    echo "error: Python 3.11, 3.12 or 3.13 is needed; set PYTHON to one" >&2
    return 2
  fi
  [ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv || return
  # shellcheck disable=SC1091
  . .venv/bin/activate
  export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
  # Installs again only when what is to be installed has changed.
  wanted=$(cat setup.py constraints.txt | sha256sum | cut -d' ' -f1)
  stamp=.venv/installed-${1:-core}
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
  echo "Installing churn_jax$extra into .venv …" >&2
  python -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable ".$extra" || return
  echo "$wanted" >"$stamp"
}
