"""Fake `srun` and `scontrol` of a job of two nodes; the test is the scheduler.

`srun` takes the flags that its manual page has and that are used here, gives each task one core
unless it is told otherwise (written to $CLOUD/cores), and ends with the highest code of its tasks.
`scontrol requeue` notes the job in $CLOUD/requeued; it refuses one that Slurm itself queued again.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

CLOUD = Path(os.environ["CLOUD"])


def main() -> int:
    """One call."""
    return {"srun": _srun, "scontrol": _scontrol}[sys.argv[1]](sys.argv[2:])


def _srun(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--kill-on-bad-exit", choices=["0", "1"])
    parser.add_argument("--cpus-per-task", default="1")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    (CLOUD / "cores").write_text(options.cpus_per_task)
    tasks = [
        subprocess.Popen(options.command, env=os.environ | {"SLURM_PROCID": str(index)})
        for index in range(int(os.environ["SLURM_NTASKS"]))
    ]
    signal.signal(signal.SIGTERM, lambda *_: [task.terminate() for task in tasks])
    (CLOUD / "step").write_text(str(os.getpid()))
    codes = [task.wait() for task in tasks]
    return max(code if code >= 0 else 128 - code for code in codes)


def _scontrol(arguments: list[str]) -> int:
    if arguments[:2] == ["show", "hostnames"]:
        print("node0\nnode1")
        return 0
    assert arguments == ["requeue", os.environ["SLURM_JOB_ID"]]
    if (CLOUD / "queued_by_slurm").exists():
        print("scontrol: error: Job/step already completing or completed", file=sys.stderr)
        return 1
    (CLOUD / "requeued").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
