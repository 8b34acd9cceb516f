"""How many threads are worth starting."""

import os


def available_cores() -> int:
    """Cores this process may run on: fewer than the machine's in a container or under `taskset`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
