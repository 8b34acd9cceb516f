"""A fake `xpk`: its parsers' flags, and a JobSet that restarts as its pod failure policy says.

`workload create` runs the command as one pod until the JobSet has ended, and notes how that was
in $CLOUD/jobsets/NAME: Completed or Failed, and the number of restarts. A pod whose exit code is
not in [42, 127 to 255] nor named by --restart-on-exit-codes fails the JobSet for good.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

CLOUD = Path(os.environ["CLOUD"])
ALWAYS = {42, *range(127, 256)}


def main() -> int:
    """One call."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    groups = parser.add_subparsers(required=True)
    workload = groups.add_parser("workload").add_subparsers(required=True)
    create = workload.add_parser("create", allow_abbrev=False)
    for flag in ("--workload", "--command", "--tpu-type", "--docker-image"):
        create.add_argument(flag, required=True)
    create.add_argument("--num-slices", type=int, default=1)
    create.add_argument("--max-restarts", type=int, default=0)
    create.add_argument("--restart-on-exit-codes", default="")
    create.add_argument("--termination-grace-period-seconds", type=int, default=30)
    create.add_argument("--env", action="append", default=[])
    create.set_defaults(run=_create)
    delete = workload.add_parser("delete", allow_abbrev=False)
    delete.add_argument("--workload")
    delete.set_defaults(run=_delete)
    for each in (create, delete):
        each.add_argument("--cluster", required=True)
        each.add_argument("--zone")
        each.add_argument("--project")
    options = parser.parse_args()
    (CLOUD / "jobsets").mkdir(exist_ok=True)
    return options.run(options)


def _create(options: argparse.Namespace) -> int:
    jobset = CLOUD / "jobsets" / options.workload
    if jobset.exists():
        print(f"[XPK] {options.workload} already exists, XPK will not create this workload.")
        return 1
    codes = {int(code) for code in options.restart_on_exit_codes.split(",") if code}
    environment = os.environ | dict(pair.split("=", 1) for pair in options.env)
    restarts = 0
    while code := subprocess.run(["bash", "-c", options.command], env=environment).returncode:
        if code not in ALWAYS | codes or restarts == options.max_restarts:
            break
        restarts += 1
    state = "Failed" if code else "Completed"
    jobset.write_text(json.dumps({"state": state, "restarts": restarts}))
    return 0


def _delete(options: argparse.Namespace) -> int:
    jobset = CLOUD / "jobsets" / options.workload
    if not jobset.exists():
        print(f'Error from server (NotFound): jobsets "{options.workload}" not found')
        return 1
    jobset.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
