#!/usr/bin/env bash
# Trains on TPU slices of a Google Kubernetes Engine cluster, with xpk (a JobSet for every workload).
#
#   export CLUSTER=tpus ZONE=us-central2-b PROJECT=mine IMAGE=gcr.io/mine/churn_jax
#   export WORKLOAD=codistill TPU_TYPE=v5litepod-16
#   bash launch/xpk.sh image          # builds launch/Dockerfile and pushes it as IMAGE
#   bash launch/xpk.sh run --config=configs/imagenet_codistill.py \
#       --config.data.dir=/data --workdir=gs://BUCKET/codistill
#   bash launch/xpk.sh logs
#   bash launch/xpk.sh delete
#
# A workload whose host is preempted starts again, MAX_RESTARTS times (default 100), and resumes.
# --dry_run before the command prints what would be done; --run_index=I before it trains run I alone,
# into WORKDIR/run_00I, as workload WORKLOAD-I.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/common.sh
. launch/common.sh

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
  [ $# -gt 0 ] || fail "which command? image, run, logs or delete"
  command=$1
  shift
  case $command in
    image | run | logs | delete) "do_$command" "$@" ;;
    *) fail "unknown command '$command' (one of: image, run, logs, delete)" ;;
  esac
}

workload() { echo "$WORKLOAD${RUN_INDEX:+-$RUN_INDEX}"; }

do_image() {
  need_variables IMAGE
  need_tools docker
  run docker build --file=launch/Dockerfile --build-arg=EXTRA=tpu "--tag=$IMAGE" .
  run docker push "$IMAGE"
}

do_run() {
  local flags
  need_variables CLUSTER ZONE PROJECT IMAGE WORKLOAD TPU_TYPE
  need_tools xpk
  need_config "$@"
  if [ -n "${RUN_INDEX:-}" ]; then flags=$(one_run "$RUN_INDEX" "$@"); else flags=$(quote "$@"); fi
  run xpk workload create "--cluster=$CLUSTER" "--zone=$ZONE" "--project=$PROJECT" \
    "--workload=$(workload)" "--tpu-type=$TPU_TYPE" --num-slices=1 "--docker-image=$IMAGE" \
    "--max-restarts=${MAX_RESTARTS:-100}" "--command=python -u -m churn_jax.main $flags"
}

do_logs() {
  need_variables WORKLOAD
  need_tools kubectl
  run kubectl logs --follow --tail=100 --prefix \
    "--selector=jobset.sigs.k8s.io/jobset-name=$(workload),batch.kubernetes.io/job-completion-index=0"
}

do_delete() {
  need_variables CLUSTER ZONE PROJECT WORKLOAD
  need_tools xpk
  run xpk workload delete "--cluster=$CLUSTER" "--zone=$ZONE" "--project=$PROJECT" \
    "--workload=$(workload)"
}

main "$@"
