#!/usr/bin/env bash
# Trains on a Cloud TPU VM or a pod slice; every host of a slice runs the same commands.
#
#   export TPU_NAME=churn ZONE=europe-west4-a ACCELERATOR=v3-32 PROJECT=mine DATA_DISK=imagenet
#   bash launch/tpu_vm.sh create
#   bash launch/tpu_vm.sh install
#   bash launch/tpu_vm.sh run --config=configs/imagenet_codistill.py \
#       --config.data.dir=/mnt/disks/data --workdir=gs://BUCKET/codistill
#   bash launch/tpu_vm.sh logs
#   bash launch/tpu_vm.sh fetch gs://BUCKET/codistill results
#   bash launch/tpu_vm.sh delete
#
# create asks for a queued resource ("Manage queued resources"): it waits for its turn, and holds one
# node, both called TPU_NAME.
#
# keep FLAGS…  does create, install and run, watches, and after a preemption does them again until
#              the training has ended; it resumes from its last checkpoint. With SPOT=1, spot TPUs.
#              A preempted queued resource is SUSPENDED for good: it is deleted and asked for anew.
#              Stop it and start it again as you like; the TPU stays, and costs, until `delete`.
#
# The data, at /mnt/disks/data on every host, read-only:
#   DATA_DISK    a disk of ZONE ("Attach durable block storage to a TPU VM"); PROJECT is needed
#   DATA_BUCKET  gs://BUCKET or gs://BUCKET/FOLDER, through gcsfuse ("Cloud Storage FUSE CLI")
#
# --dry_run before the command prints what would be done. --run_index=I before it trains run I
# alone, into WORKDIR/run_00I, so that a study can be spread over many TPUs.
#
# docs/imagenet.md names the page that says so for every flag, state and limit that is relied on here.
#
# Also read: PROJECT (default: gcloud's own), RUNTIME (the VM image, default by ACCELERATOR), SETUP (a
# shell command that every host runs first, for example to install gcsfuse), CACHE (where compiled
# programs are kept between VMs; default gs://BUCKET/jax_programs of the workdir), and for keep
# POLL_SECONDS (60) and TRIES (10: to make a TPU or start on it, in a row, until a training runs).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/common.sh
. launch/common.sh

TRIES=${TRIES:-10}
RESUME=75 # the training stopped in good order, or lost a process: the same command again

main() {
  local command
  read_options "$@"
  shift "$OPTIONS"
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

# tpus GROUP VERB ARGUMENT…: gcloud's TPU commands in our zone and project.
tpus() { run gcloud compute tpus "$@" "--zone=$ZONE" ${PROJECT:+"--project=$PROJECT"}; }

# on WORKERS COMMAND: runs a shell command on them.
on() { tpus tpu-vm ssh "$TPU_NAME" "--worker=$1" "--command=$2"; }

# worker COMMAND ARGUMENT…: what all hosts run of launch/worker.sh.
worker() { on all "bash churn_jax/launch/worker.sh $(quote "$@")"; }

do_create() {
  local version disk=""
  need_variables ACCELERATOR
  version=${RUNTIME:-$(runtime)} || exit
  if [ -n "${DATA_DISK:-}" ]; then
    need_variables PROJECT
    disk="source=projects/$PROJECT/zones/$ZONE/disks/$DATA_DISK,mode=read-only"
  fi
  tpus queued-resources create "$TPU_NAME" "--node-id=$TPU_NAME" \
    "--accelerator-type=$ACCELERATOR" "--runtime-version=$version" \
    ${disk:+"--data-disk=$disk"} ${SPOT:+--spot}
}

# The VM image that a kind of TPU needs ("TPU software versions").
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
  local archive=churn_jax.$TPU_NAME.tar.gz code=0
  run git archive --format=tar.gz "--output=$archive" HEAD &&
    tpus tpu-vm scp "$archive" "$TPU_NAME:" --worker=all || code=1
  run rm -f "$archive"
  [ "$code" = 0 ] &&
    { [ -z "${SETUP:-}" ] || on all "$SETUP"; } &&
    on all "mkdir -p churn_jax && tar -xzf $archive -C churn_jax" &&
    worker install &&
    { [ -z "${DATA_DISK:-}" ] || worker mount disk; } &&
    { [ -z "${DATA_BUCKET:-}" ] || worker mount "$DATA_BUCKET"; }
}

do_run() {
  local flags
  need_config "$@"
  flags=$(flags_of "$@") || exit
  on all "$(cache_of "$@")bash churn_jax/launch/worker.sh run $flags"
}

flags_of() {
  if [ -n "${RUN_INDEX:-}" ]; then one_run "$RUN_INDEX" "$@"; else quote "$@"; fi
}

# Where a VM that comes after finds the programs that this one compiled, as an assignment.
cache_of() {
  local cache=${CACHE:-$(cache_beside "$@")}
  [ -z "$cache" ] || echo "JAX_COMPILATION_CACHE_DIR=$(quote "$cache") "
}

do_logs() { on 0 "tail -n 100 -F ~/churn_jax.log"; }

# --force: with its node ("gcloud compute tpus queued-resources delete").
do_delete() { tpus queued-resources delete "$TPU_NAME" --force --quiet; }

do_keep() {
  local flags state tried=0 last=""
  need_variables ACCELERATOR
  need_config "$@"
  flags=$(flags_of "$@") || exit
  if [ -n "${DRY_RUN:-}" ]; then
    do_create
    do_install
    do_run "$@"
    echo "# then, every ${POLL_SECONDS:-60} s: again from the start after a preemption, until it ends"
    return
  fi
  while true; do
    state=$(resource_state)
    [ "$state" != ACTIVE ] || state=$(node_state)
    case $state in
      MISSING) try do_create ;;
      FAILED)
        tpus queued-resources describe "$TPU_NAME" >&2 || true
        do_delete && continue
        ;;
      SUSPENDED | PREEMPTED | TERMINATED | STOPPED)
        echo "the TPU is $state: making it anew" >&2
        tried=0
        do_delete && continue
        ;;
      READY)
        state=$(training_state "$flags")
        case $state in
          0) echo "done; the TPU is still there: bash launch/tpu_vm.sh delete" >&2 && return ;;
          running) tried=0 ;;
          "$RESUME" | missing) try start "$@" ;;
          unreachable) ;;
          other) fail "another training runs on $TPU_NAME: wait for it, or run yours in its place" ;;
          # Twice: a VM that is being taken away kills processes too.
          "$last") fail "the training ended with exit code $state: bash launch/tpu_vm.sh logs" ;;
        esac
        ;;
      *) ;; # on its way, or nothing can be known at the moment
    esac
    last=$state
    sleep "${POLL_SECONDS:-60}"
  done
}

start() { do_install && do_run "$@"; }

# try COMMAND ARGUMENT…: one more try to get a training to run; TRIES in a row end the script.
try() {
  tried=$((tried + 1))
  [ "$tried" -le "$TRIES" ] || fail "no training runs on $TPU_NAME after $TRIES tries"
  "$@" || echo "${1#do_} failed: trying again" >&2
}

# The queued resource's state, MISSING where there is none, UNKNOWN where gcloud does not answer.
resource_state() {
  local state
  state=$(tpus queued-resources list "--filter=name~(^|/)$TPU_NAME\$" "--format=value(state.state)") ||
    { echo UNKNOWN && return; }
  echo "${state:-MISSING}"
}

# The state of the resource's node; one that is gone was preempted.
node_state() {
  local state
  state=$(tpus tpu-vm list "--filter=name~(^|/)$TPU_NAME\$" "--format=value(state)") ||
    { echo UNKNOWN && return; }
  echo "${state:-PREEMPTED}"
}

# How the training stands, of all hosts together: what ended badly first, then what is missing.
training_state() {
  local answers state bad
  answers=$(on all "[ -f churn_jax/launch/worker.sh ] || { echo 'training: missing'; exit; }; \
bash churn_jax/launch/worker.sh ask $1") || { echo unreachable && return; }
  answers=$(sed -n 's/^training: //p' <<<"$answers")
  bad=$(grep -vxE "0|$RESUME|running|missing" <<<"$answers" | head -n 1) || true
  for state in "$bad" missing "$RESUME" running 0; do
    [ -n "$state" ] && grep -qx -- "$state" <<<"$answers" && echo "$state" && return
  done
  echo unreachable
}

main "$@"
