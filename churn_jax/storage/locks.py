"""One writer to a folder at a time; `FOLDER/lock` says which: host, process and since when.

The operating system lets go of a lock when its process ends, however it ends, so what a dead
process leaves behind keeps nobody out. On storage without locks (gs://) the file is a lease: its
writer renews it every few seconds, and one that isn't renewed any more is a dead writer's. A writer
that only stood still, and finds its lease taken over when it goes on, ends. In a bucket every write
of the lease names the version that it replaces, so of two that come at once one fails.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from etils import epath

from churn_jax.errors import UserError
from churn_jax.storage.files import write_atomically, writing
from churn_jax.storage.objects import Changed, VersionedObject, is_google, is_remote
from churn_jax.system.commands import report
from churn_jax.system.console import say
from churn_jax.system.interruption import leaving

# Seconds: a lease is renewed every so often, and is over after so long without; two that come at
# once see after so long whose write came last, where storage does not say it at once.
RENEWAL = 15.0
LEASE = 60.0
SETTLE = 2.0

_held: set[str] = set()


class Locked(UserError):
    """Another process writes to the folder."""


@contextlib.contextmanager
def hold(folder: epath.PathLike) -> Iterator[None]:
    """Makes this process the one that writes to `folder`; it may hold it more than once.

    Raises:
      Locked: another process is.
      UserError: the folder can't be written.
    """
    folder = epath.Path(folder)
    name = str(folder) if is_remote(folder) else os.path.realpath(folder)
    if name in _held:
        yield
        return
    with (_lease if is_remote(folder) else _lock)(folder / "lock"):
        _held.add(name)
        try:
            yield
        finally:
            _held.remove(name)


@contextlib.contextmanager
def _lock(path: epath.Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with writing(f"--workdir={path.parent}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(path, _read(_File(path))) from None
        except OSError:  # a network file system without locks
            stack.enter_context(_lease(path))
            yield
            return
        _say_stale(_read(_File(path)))
        with writing(path):
            _rewrite(file, json.dumps(_myself()))

        def let_go() -> None:
            with contextlib.suppress(OSError, ValueError):  # ValueError: the file is closed
                _rewrite(file, "")

        try:
            with leaving(let_go):
                yield
        finally:
            let_go()


def _rewrite(file: Any, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


class _File:
    """A lease in a file: of two writers at once, the one that came last holds it."""

    exact = False

    def __init__(self, path: epath.Path):
        self.path = path

    def read_text(self) -> str:
        return self.path.read_text()

    def write_text(self, text: str) -> None:
        # In one piece, always: a lease read half-written would look like one that was given back.
        write_atomically(self.path, text)


_Note = _File | VersionedObject


@contextlib.contextmanager
def _lease(path: epath.Path) -> Iterator[None]:
    note: _Note = VersionedObject(path) if is_google(path) else _File(path)
    if (holder := _read(note)) and not _has_died(holder):
        say(f"{_describe(holder)} was at work here; seeing for {LEASE:g} s whether it still is")
        if (now := _next(note, holder)) and now != holder:
            raise _refusal(path, now)
        holder = now
    _say_stale(holder)
    mine = _myself() | {"renewed": 0}
    _take(note, mine)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWAL):
            if not _is_held(note, mine):
                _give_up(note)
            mine["renewed"] += 1
            try:
                note.write_text(json.dumps(mine))
            except Changed:
                _give_up(note)
            except (UserError, OSError):  # storage has a bad moment: time for more is left
                pass

    renewer = threading.Thread(target=renew, daemon=True)
    renewer.start()

    def let_go() -> None:
        ended.set()
        renewer.join()
        if _is_held(note, mine):
            with contextlib.suppress(UserError, OSError, Changed):
                note.write_text("")

    try:
        with leaving(let_go):
            yield
    finally:
        let_go()


def _take(note: _Note, mine: dict[str, Any]) -> None:
    """Writes the lease that is free; raises `Locked` if another came first."""
    try:
        with writing(note.path):
            note.write_text(json.dumps(mine))
    except Changed:
        raise _refusal(note.path, _read(note)) from None
    if not note.exact:
        time.sleep(SETTLE)
        if (now := _read(note)) != mine:
            raise _refusal(note.path, now)


def _next(note: _Note, holder: dict[str, Any]) -> dict[str, Any]:
    """What the lease says once that is no longer `holder`, or at the latest when it is over."""
    over = time.monotonic() + LEASE
    while (now := _read(note, unreadable=holder)) == holder and (
        left := over - time.monotonic()
    ) > 0:
        time.sleep(min(left, RENEWAL / 2))
    return now


def _is_held(note: _Note, mine: dict[str, Any]) -> bool:
    """Whether the lease is still this process's, as far as it can be read."""
    now = _read(note)
    return not now or all(now.get(key) == mine[key] for key in ("host", "pid", "since"))


def _give_up(note: _Note) -> NoReturn:
    """Ends the process at once, before it writes anything between what another one writes."""
    lost = f"stood still for more than {LEASE:g} s, and {_describe(_read(note))} took over"
    code = report(UserError(f"{note.path.parent}: this process {lost}"))
    os._exit(code)


def _myself() -> dict[str, Any]:
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _read(note: _Note, unreadable: dict[str, Any] | None = None) -> dict[str, Any]:
    """Who the file says writes here, {} for nobody; `unreadable` if storage does not say."""
    try:
        holder = json.loads(note.read_text() or "{}")
    except (FileNotFoundError, ValueError):
        return {}
    except OSError:
        return unreadable or {}
    return holder if isinstance(holder, dict) else {}


def _has_died(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is gone."""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, KeyError, ValueError):
        return False
    return False


def _describe(holder: dict[str, Any]) -> str:
    if not holder:  # it has begun this moment
        return "another process"
    known = {key: holder.get(key, "unknown") for key in ("host", "pid", "since")}
    return "process {pid} on {host} (since {since})".format(**known)


def _refusal(path: epath.Path, holder: dict[str, Any]) -> Locked:
    return Locked(
        f"{path.parent} is being written by {_describe(holder)}: wait for it, or choose another "
        "--workdir"
    )


def _say_stale(holder: dict[str, Any]) -> None:
    if holder:
        say(f"{_describe(holder)} was cut off here; taking over")
