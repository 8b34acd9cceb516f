# shellcheck shell=bash
# Sourced by the scripts that launch on other machines: errors of one line, dry runs, checks.

# Prints one line and ends the script with exit code 2, as all commands of churn_jax do.
fail() {
  echo "error: $*" >&2
  exit 2
}

# need_variables NAME…: each must be set and not empty.
need_variables() {
  local name
  for name in "$@"; do
    [ -n "${!name:-}" ] || fail "set $name (see the top of $0)"
  done
}

# need_tools NAME…: each must be a command; not in a dry run, which calls none.
need_tools() {
  local tool
  [ -n "${DRY_RUN:-}" ] && return
  for tool in "$@"; do
    command -v "$tool" >/dev/null || fail "$tool is not installed, or not in PATH"
  done
}

# need_config FLAG…: the config file that the flags name must be there, and a workdir be named.
need_config() {
  local flag config="" workdir=""
  for flag in "$@"; do
    case $flag in
      --config=*) config=${flag#--config=} ;;
      --workdir=*) workdir=${flag#--workdir=} ;;
    esac
  done
  [ -n "$config" ] || fail "--config=FILE is missing"
  [ -n "$workdir" ] || fail "--workdir=DIR is missing"
  [ -f "${config%%:*}" ] || fail "--config: there is no file ${config%%:*}"
}

# Runs a command, or prints it where DRY_RUN is set.
run() {
  if [ -n "${DRY_RUN:-}" ]; then
    quote "$@"
    echo
  else
    "$@"
  fi
}

# Prints words so that a shell reads them back as they are.
quote() {
  local words
  printf -v words '%q ' "$@"
  printf '%s' "${words% }"
}

# one_run INDEX FLAG…: prints the flags, quoted, for run INDEX of a study that is spread over
# machines: in its own workdir below the one that is named. `evaluate` takes the workdirs together.
one_run() {
  local index=$1 flag words=()
  shift
  [[ $index =~ ^[0-9]+$ ]] || fail "--run_index: '$index' is not a number"
  for flag in "$@"; do
    case $flag in
      --workdir=*) words+=("$(printf '%s/run_%03d' "${flag%/}" "$index")") ;;
      *) words+=("$flag") ;;
    esac
  done
  quote "${words[@]}" --config.runs=1 "--config.first_run=$index"
}

# read_options ARGUMENT…: takes what stands before the command; OPTIONS is how many words it was.
# shellcheck disable=SC2034  # those who source this file read them
read_options() {
  OPTIONS=0
  while [ $# -gt 0 ]; do
    case $1 in
      --dry_run) DRY_RUN=1 ;;
      --run_index=*) RUN_INDEX=${1#--run_index=} ;;
      -*) fail "unknown option $1 (before the command: --dry_run, --run_index=I)" ;;
      *) break ;;
    esac
    OPTIONS=$((OPTIONS + 1))
    shift
  done
}

# cache_beside FLAG…: a folder of the workdir's bucket for compiled programs; nothing without one.
cache_beside() {
  local flag place
  for flag in "$@"; do
    case $flag in
      --workdir=gs://*)
        place=${flag#--workdir=gs://}
        echo "gs://${place%%/*}/jax_programs"
        ;;
    esac
  done
}

# do_fetch gs://BUCKET/WORKDIR FOLDER: copies results here.
do_fetch() {
  [ $# = 2 ] || fail "fetch needs two: gs://BUCKET/WORKDIR and a local folder"
  need_tools gcloud
  run mkdir -p "$2"
  run gcloud storage rsync --recursive "$1" "$2"
}
