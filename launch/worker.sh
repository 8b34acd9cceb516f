#!/usr/bin/env bash
# What one host of a TPU slice does; launch/tpu_vm.sh calls it on all of them.
#
#   bash launch/worker.sh install           # Python, and churn_jax with its packages
#   bash launch/worker.sh mount disk        # the attached read-only disk, at MOUNT
#   bash launch/worker.sh mount gs://B/DIR  # a bucket, or a folder of it, at MOUNT
#   bash launch/worker.sh run FLAGS…        # starts a training, in place of one that is running
#   bash launch/worker.sh ask FLAGS…        # prints "training: " and how that training stands:
#                                           # running, missing, other, or its exit code
#
# MOUNT is /mnt/disks/data unless set. A training is known by its process group and the boot that it
# belongs to, never by a search for its name, which would find the shell that searches.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/common.sh
. launch/common.sh

STATE=$HOME/churn_jax # .job .group .exit .log
MOUNT=${MOUNT:-/mnt/disks/data}
# The boot disk has 100 GiB ("Attach durable block storage to a TPU VM"): a part for the file cache.
CACHE_MIB=60000
STOP_SECONDS=${STOP_SECONDS:-120}

main() {
  local command=${1:-}
  [ $# -gt 0 ] && shift
  case $command in
    install | mount | run | ask) "do_$command" "$@" ;;
    *) fail "unknown command '$command' (one of: install, mount, run, ask)" ;;
  esac
}

do_install() {
  # The images' own Python may be too old: uv brings one.
  python3 -m pip install --quiet --user uv
  ~/.local/bin/uv python install --quiet 3.12
  PYTHON=$(~/.local/bin/uv python find 3.12)
  export PYTHON
  # shellcheck source=launch/environment.sh
  . launch/environment.sh
  prepare_environment tpu
}

do_mount() {
  local place=${1:?} device bucket folder
  mountpoint --quiet "$MOUNT" && return
  sudo mkdir -p "$MOUNT"
  if [ "$place" = disk ]; then
    device=$(read_only_disk)
    # noload: a journal can't be replayed on a read-only device.
    sudo mount -o ro,noload "$device" "$MOUNT"
    return
  fi
  need_tools gcsfuse
  sudo chown "$(id -u)" "$MOUNT"
  place=${place#gs://}
  bucket=${place%%/*}
  folder=${place#"$bucket"}
  folder=${folder#/}
  # "Cloud Storage FUSE CLI": files once read are kept, also those that are read in parts.
  gcsfuse -o ro --implicit-dirs "--cache-dir=$HOME/gcsfuse" "--file-cache-max-size-mb=$CACHE_MIB" \
    --file-cache-cache-file-for-range-read ${folder:+"--only-dir=$folder"} "$bucket" "$MOUNT"
}

# The device of the one disk that is attached read-only.
read_only_disk() {
  local disks
  disks=$(lsblk --nodeps --noheadings --paths --output=NAME,RO,TYPE |
    awk '$2 == 1 && $3 == "disk" { print $1 }')
  [ "$(wc -w <<<"$disks")" = 1 ] ||
    fail "expected one disk attached read-only on $(hostname), found: ${disks:-none}"
  echo "$disks"
}

do_run() {
  stop_training
  rm -f "$STATE.exit" "$STATE.group"
  quote "$@" >"$STATE.job"
  # In a session of its own, so that it outlives this connection.
  # shellcheck disable=SC2016
  STATE=$STATE nohup setsid bash -c '
    echo "$(cat /proc/sys/kernel/random/boot_id) $$" >"$STATE.group"
    .venv/bin/python -u -m churn_jax.main "$@"
    echo $? >"$STATE.exit.new" && mv "$STATE.exit.new" "$STATE.exit"
  ' training "$@" >>"$STATE.log" 2>&1 </dev/null &
  local left=200
  until [ -s "$STATE.group" ]; do
    [ $((left -= 1)) -gt 0 ] || fail "$(hostname): nothing could be started: $(tail -n 1 "$STATE.log")"
    sleep 0.05
  done
}

do_ask() {
  local found
  if [ "$(quote "$@")" != "$(cat "$STATE.job" 2>/dev/null)" ]; then
    if [ ! -f "$STATE.exit" ] && is_running; then found=other; else found=missing; fi
  elif [ -f "$STATE.exit" ]; then
    found=$(cat "$STATE.exit")
  elif is_running; then
    found=running
  else
    found=missing
  fi
  echo "training: $found"
}

# Whether a process of the training's group lives; after a boot none does.
is_running() {
  local boot group
  read -r boot group 2>/dev/null <"$STATE.group" || return 1
  [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] && kill -0 -- "-$group" 2>/dev/null
}

# It writes a checkpoint first, if the other hosts are still there.
stop_training() {
  local group waited=0
  is_running || return 0
  read -r _ group <"$STATE.group"
  kill -TERM -- "-$group" 2>/dev/null || true
  while is_running && [ "$waited" -lt "$STOP_SECONDS" ]; do
    sleep 1
    waited=$((waited + 1))
  done
  kill -KILL -- "-$group" 2>/dev/null || true
}

main "$@"
