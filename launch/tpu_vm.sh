#!/usr/bin/env bash
# Trains on a Cloud TPU VM or a pod slice; every host of a slice runs the same commands.
#
#   export TPU_NAME=churn ZONE=europe-west4-a ACCELERATOR=v3-32
#   bash launch/tpu_vm.sh create
#   bash launch/tpu_vm.sh install
#   bash launch/tpu_vm.sh run --config=configs/imagenet_codistill.py \
#       --config.data.dir=/mnt/disks/data --workdir=gs://BUCKET/codistill
#   bash launch/tpu_vm.sh logs
#   bash launch/tpu_vm.sh fetch gs://BUCKET/codistill results
#   bash launch/tpu_vm.sh delete
#
# keep FLAGS…  does create, install and run, watches, and after a preemption does them again until
#              the training has ended; it resumes from its last checkpoint. With SPOT=1, spot TPUs.
#
# --dry_run before the command prints what would be done. --run_index=I before it trains run I
# alone, into WORKDIR/run_00I, so that a study can be spread over many TPUs.
#
# Also read: PROJECT (default: gcloud's own), RUNTIME (the VM image, default by ACCELERATOR),
# POLL_SECONDS (of keep, default 60).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/common.sh
. launch/common.sh

ARCHIVE=churn_jax.tar.gz
# Prints how a training on a host ended, or that it is running, or that there is none.
ASK="if [ -f ~/churn_jax.exit ]; then cat ~/churn_jax.exit; \
elif pgrep -f churn_jax.main >/dev/null; then echo running; else echo missing; fi"

main() {
  local command
  while [ $# -gt 0 ]; do
    case $1 in
      --dry_run) DRY_RUN=1 ;;
      --run_index=*) RUN_INDEX=${1#--run_index=} ;;
      -*) fail "unknown option $1 (before the command: --dry_run, --run_index=I)" ;;
      *) break ;;
    esac
    shift
  done
  [ $# -gt 0 ] || fail "which command? create, install, run, logs, keep, fetch or delete"
  command=$1
  shift
  case $command in
    create | install | run | logs | keep | delete)
      need_variables TPU_NAME ZONE
      need_tools gcloud
      "do_$command" "$@"
      ;;
    fetch) do_fetch "$@" ;;
    *) fail "unknown command '$command' (one of: create, install, run, logs, keep, fetch, delete)" ;;
  esac
}

# tpu VERB ARGUMENT…: gcloud's TPU commands in our zone and project.
tpu() {
  local verb=$1
  shift
  run gcloud compute tpus tpu-vm "$verb" "$@" "--zone=$ZONE" ${PROJECT:+"--project=$PROJECT"}
}

# on WORKERS COMMAND: runs a shell command on them.
on() { tpu ssh "$TPU_NAME" "--worker=$1" "--command=$2"; }

do_create() {
  local version
  need_variables ACCELERATOR
  version=${RUNTIME:-$(runtime)} || exit
  tpu create "$TPU_NAME" "--accelerator-type=$ACCELERATOR" "--version=$version" ${SPOT:+--spot}
}

# The VM image that a kind of TPU needs.
runtime() {
  case $ACCELERATOR in
    v2-* | v3-* | v4-*) echo tpu-ubuntu2204-base ;;
    v5litepod-*) echo v2-alpha-tpuv5-lite ;;
    v5p-*) echo v2-alpha-tpuv5 ;;
    v6e-*) echo v2-alpha-tpuv6e ;;
    *) fail "ACCELERATOR: '$ACCELERATOR' is not known; set RUNTIME to its VM image" ;;
  esac
}

do_install() {
  # The images' own Python may be too old: uv brings one.
  run git archive --format=tar.gz "--output=$ARCHIVE" HEAD &&
    tpu scp "$ARCHIVE" "$TPU_NAME:" --worker=all &&
    run rm -f "$ARCHIVE" &&
    on all "mkdir -p churn_jax && tar -xzf $ARCHIVE -C churn_jax && cd churn_jax \
&& python3 -m pip install --quiet --user uv && ~/.local/bin/uv python install --quiet 3.12 \
&& export PYTHON=\$(~/.local/bin/uv python find 3.12) \
&& . launch/environment.sh && prepare_environment tpu"
}

do_run() {
  local flags
  need_config "$@"
  flags=$(flags_of "$@")
  # Detached, so that it outlives this connection; its exit code is left beside the log.
  on all "cd churn_jax && rm -f ~/churn_jax.exit && (nohup setsid bash -c \
$(quote ".venv/bin/python -u -m churn_jax.main $flags; echo \$? >~/churn_jax.exit") \
>>~/churn_jax.log 2>&1 </dev/null &)"
}

flags_of() {
  if [ -n "${RUN_INDEX:-}" ]; then one_run "$RUN_INDEX" "$@"; else quote "$@"; fi
}

do_logs() { on 0 "tail -n 100 -F ~/churn_jax.log"; }

do_delete() { tpu delete "$TPU_NAME" --quiet; }

do_fetch() {
  [ $# = 2 ] || fail "fetch needs two: gs://BUCKET/WORKDIR and a local folder"
  need_tools gcloud
  run mkdir -p "$2"
  run gcloud storage rsync --recursive "$1" "$2"
}

do_keep() {
  local state code
  need_variables ACCELERATOR
  need_config "$@"
  if [ -n "${DRY_RUN:-}" ]; then
    do_create
    do_install
    do_run "$@"
    echo "# then, every ${POLL_SECONDS:-60} s: again from the start after a preemption, until it ends"
    return
  fi
  while true; do
    state=$(tpu describe "$TPU_NAME" "--format=value(state)" 2>/dev/null || echo MISSING)
    case $state in
      READY) ;;
      CREATING | STARTING | RESTARTING | REPAIRING | STOPPING | DELETING)
        sleep "${POLL_SECONDS:-60}"
        continue
        ;;
      *)
        [ "$state" = MISSING ] || { echo "TPU is $state: making it anew" >&2 && do_delete; }
        do_create && do_install && do_run "$@" || echo "not yet: trying again" >&2
        sleep "${POLL_SECONDS:-60}"
        continue
        ;;
    esac
    code=$(on 0 "$ASK" || echo unreachable)
    case $code in
      0) echo "done" >&2 && return ;;
      running | unreachable) ;;
      75 | missing) do_install && do_run "$@" ;; # a process was lost, or none was started
      *) fail "the training ended with exit code $code: bash launch/tpu_vm.sh logs" ;;
    esac
    sleep "${POLL_SECONDS:-60}"
  done
}

main "$@"
