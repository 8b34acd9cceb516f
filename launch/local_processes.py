"""Runs one training as several processes of this machine: for tests, and for a first try.

    python launch/local_processes.py --processes=4 -- \
        --config=configs/digits.py:codistill_skl,tiny --workdir=runs/four

Each process shows one CPU device (choose with --devices). Lines are marked with the process they
came from. If one fails, the others end by themselves within seconds; the exit code is the first
failure's. SIGTERM and Ctrl-C are passed on to all.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import IO

# The processes notice each other's end; this is for one that hangs.
END_TIMEOUT = 60


def main() -> int:
    """Starts the processes and returns the exit code of the first that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--processes", type=_positive, default=2, help="how many; default 2")
    parser.add_argument("--devices", type=_positive, default=1, help="CPU devices in each")
    parser.add_argument("--module", default="churn_jax.main", help="what each of them runs")
    parser.add_argument("flags", nargs="*", help="flags of the module, after --")
    options = parser.parse_args()

    command = [sys.executable, "-m", options.module, *options.flags]
    processes = [
        subprocess.Popen(
            command,
            env=_environment(index, options.processes, options.devices, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C reaches them through us alone
        )
        for port in [_free_port()]
        for index in range(options.processes)
    ]
    printers = [
        threading.Thread(target=_print_lines, args=(index, process.stdout))
        for index, process in enumerate(processes)
    ]
    for printer in printers:
        printer.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: [each.send_signal(number) for each in processes])
    try:
        return _wait(processes)
    finally:
        for process in processes:
            process.kill()
        for printer in printers:
            printer.join()


def _environment(index: int, count: int, devices: int, port: int) -> dict[str, str]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return (
        {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
        | os.environ
        | {  # large pages
            "JAX_PLATFORMS": "cpu",
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
            "JAX_NUM_PROCESSES": str(count),
            "JAX_PROCESS_ID": str(index),
            "XLA_FLAGS": flags.strip(),
            "PYTHONUNBUFFERED": "1",
        }
    )


def _wait(processes: list[subprocess.Popen]) -> int:
    """Waits for all; once one has failed, for the others no longer than `END_TIMEOUT`."""
    failures: list[int] = []
    failed = threading.Event()
    waiting = [
        threading.Thread(target=_wait_for_one, args=(process, failures, failed), daemon=True)
        for process in processes
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        while thread.is_alive() and not failed.is_set():
            thread.join(timeout=0.2)
        if failed.is_set():
            thread.join(timeout=END_TIMEOUT)
    return failures[0] if failures else 0


def _wait_for_one(process: subprocess.Popen, failures: list[int], failed: threading.Event) -> None:
    if code := process.wait():
        failures.append(code if code > 0 else 128 - code)  # as a shell says of a signal
        failed.set()


def _print_lines(index: int, lines: IO[str]) -> None:
    for line in lines:
        print(f"[{index}] {line}", end="", flush=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
