"""Stopping a training between two steps: Ctrl-C, SIGTERM and the preemption notices of schedulers.

The first signal lets the step under way finish; a checkpoint is written, and the exit code says
whether to start the same command again. While there is nothing to save (imports, data, compiling,
the report) a signal ends the program at once, and so does a second Ctrl-C.

A thread listens, because Python runs no signal handler while it waits for a compiler or a device.
Several processes stop at one step, on which JAX's own service for preemption makes them agree.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from churn_jax.system.console import show

# EX_TEMPFAIL of sysexits.h: nothing is wrong with the command, start it again.
RESUME = 75
CTRL_C = 130
_CODES = {signal.SIGTERM: RESUME, signal.SIGINT: CTRL_C}
# Seconds that are left for `leaving`, of the few that schedulers give.
_TO_LEAVE = 5.0

_leaving: list[Callable[[], None]] = []


class Interrupted(Exception):
    """Everything is saved and has been said; the command ends with the exit code `code`."""

    def __init__(self, code: int):
        super().__init__(f"interrupted (exit code {code})")
        self.code = code


class _Signals:
    """What has been received, and whether a signal waits for the end of a step."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.deferred = False

    def follow(self, channel: socket.socket) -> None:
        while data := channel.recv(1):
            number = signal.Signals(data[0])
            if number not in _CODES:
                continue
            again = number == signal.SIGINT and self.code == CTRL_C
            self.code = _CODES[number]
            if again or not self.deferred:
                _end(self.code)
            if _several_processes():
                os.kill(os.getpid(), signal.SIGTERM)  # which JAX's service listens to
            show("")
            print("finishing the step, then writing a checkpoint …", file=sys.stderr, flush=True)


_signals = _Signals()


def listen() -> None:
    """From now on SIGTERM and Ctrl-C are answered as above; call once, from the main thread."""
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    for number in _CODES:
        # The numbers reach the thread through the socket, but only of signals that have a handler.
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_signals.follow, args=(receiver,), daemon=True).start()


@contextlib.contextmanager
def leaving(do: Callable[[], None]) -> Iterator[None]:
    """In this block `do` is called too where a signal ends the program at once, in a thread."""
    _leaving.append(do)
    try:
        yield
    finally:
        _leaving.remove(do)


class Interruption:
    """The part of a training in which signals wait; use as a context manager around the loop."""

    def __enter__(self) -> "Interruption":
        return self

    def begin(self) -> None:
        """From now on there is something to save; call after the first step."""
        _signals.deferred = True

    def wanted(self, step: int) -> bool:
        """Whether to stop after `step`; several processes must all ask after every step."""
        if _several_processes():
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return _signals.code is not None

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        _signals.deferred = False
        if kind is None and _signals.code is not None and not _several_processes():
            raise self.ended()  # it came after the last step, of which all is saved

    def ended(self) -> Interrupted:
        """What to raise once everything is saved."""
        return Interrupted(_signals.code or RESUME)


def _end(code: int) -> None:
    print("interrupted; the same command goes on", file=sys.stderr, flush=True)
    sys.stdout.flush()
    # Storage may have a bad moment, which nobody waits for.
    left = threading.Thread(target=lambda: [do() for do in list(_leaving)], daemon=True)
    left.start()
    left.join(_TO_LEAVE)
    os._exit(code)


def _several_processes() -> bool:
    jax = sys.modules.get("jax")  # not loaded: nothing has begun
    return jax is not None and jax.distributed.is_initialized() and jax.process_count() > 1
