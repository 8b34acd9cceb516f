#!/usr/bin/env bash
# Trains on TPU slices of a Google Kubernetes Engine cluster, with xpk (a JobSet for every workload).
#
#   export CLUSTER=tpus ZONE=us-west4-a PROJECT=mine TPU_TYPE=v5litepod-16 WORKLOAD=codistill
#   export IMAGE=ADDRESS/mine/REPOSITORY/churn_jax   # of an Artifact Registry repository
#   bash launch/xpk.sh image          # builds launch/Dockerfile and pushes it as IMAGE
#   bash launch/xpk.sh storage gs://BUCKET            # once a cluster: mounted at /data, read-only
#   bash launch/xpk.sh run --config=configs/imagenet_codistill.py \
#       --config.data.dir=/data --workdir=gs://BUCKET/codistill
#   bash launch/xpk.sh logs
#   bash launch/xpk.sh fetch gs://BUCKET/codistill results
#   bash launch/xpk.sh delete         # also before a workload of the same name is run again
#
# A workload whose host is preempted starts again, MAX_RESTARTS times (default 100), and resumes. By
# itself xpk ends a workload for good at any exit code but 42 and 127 to 255 (`xpk workload create
# --help`, --restart-on-exit-codes), so 75 is named: stopped in good order, or a process was lost.
# What is stopped has GRACE_SECONDS (default 300) to write a checkpoint; a spot VM's pods have 15 by default
# (GKE, "Spot VMs"). docs/imagenet.md names the page for every other flag that is used here.
#
# SLICES=N trains on N slices: each has runs of its own, so N divides config.runs. CACHE is where
# compiled programs are kept between pods (default gs://BUCKET/jax_programs of the workdir).
# --dry_run before the command prints what would be done; --run_index=I before it trains run I alone,
# into WORKDIR/run_00I, as workload WORKLOAD-I.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/common.sh
. launch/common.sh

RESTART_CODES=75

main() {
  local command
  read_options "$@"
  shift "$OPTIONS"
  [ $# -gt 0 ] || fail "which command? image, storage, run, logs, fetch or delete"
  command=$1
  shift
  case $command in
    image | storage | run | logs | fetch | delete) "do_$command" "$@" ;;
    *) fail "unknown command '$command' (one of: image, storage, run, logs, fetch, delete)" ;;
  esac
}

workload() { echo "$WORKLOAD${RUN_INDEX:+-$RUN_INDEX}"; }

# on_cluster ARGUMENT…: an xpk command for our cluster.
on_cluster() {
  need_variables CLUSTER ZONE PROJECT
  need_tools xpk
  run xpk "$@" "--cluster=$CLUSTER" "--zone=$ZONE" "--project=$PROJECT"
}

do_image() {
  need_variables IMAGE
  need_tools docker
  run docker build --file=launch/Dockerfile --build-arg=EXTRA=tpu "--tag=$IMAGE" .
  run docker push "$IMAGE"
}

# `xpk storage attach --help`; --size is a formality of Kubernetes, in GB, and bounds nothing.
do_storage() {
  local bucket=${1:-}
  bucket=${bucket#gs://}
  [[ -n $bucket && $bucket != */* ]] || fail "storage needs one: gs://BUCKET"
  on_cluster storage attach churn-jax-data --type=gcsfuse "--bucket=$bucket" --size=1 \
    --mount-point=/data --readonly=true --auto-mount=true
}

do_run() {
  local flags cache
  need_variables CLUSTER ZONE PROJECT IMAGE WORKLOAD TPU_TYPE
  need_config "$@"
  cache=${CACHE:-$(cache_beside "$@")}
  if [ -n "${RUN_INDEX:-}" ]; then flags=$(one_run "$RUN_INDEX" "$@"); else flags=$(quote "$@"); fi
  on_cluster workload create "--workload=$(workload)" "--tpu-type=$TPU_TYPE" \
    "--num-slices=${SLICES:-1}" "--docker-image=$IMAGE" "--max-restarts=${MAX_RESTARTS:-100}" \
    "--restart-on-exit-codes=$RESTART_CODES" \
    "--termination-grace-period-seconds=${GRACE_SECONDS:-300}" \
    ${cache:+"--env=JAX_COMPILATION_CACHE_DIR=$cache"} \
    "--command=python -u -m churn_jax.main $flags"
}

# Of the first host of the first slice.
do_logs() {
  local labels
  need_variables WORKLOAD
  need_tools kubectl
  labels=jobset.sigs.k8s.io/jobset-name=$(workload),jobset.sigs.k8s.io/job-index=0
  run kubectl logs --follow --tail=100 --prefix \
    "--selector=$labels,batch.kubernetes.io/job-completion-index=0"
}

do_delete() {
  need_variables WORKLOAD
  on_cluster workload delete "--workload=$(workload)"
}

main "$@"
