"""One writer at a time, here and on storage without locks; the dead keep nobody out."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from etils import epath

from churn_jax.errors import UserError
from churn_jax.storage import locks
from churn_jax.storage.files import write_atomically
from churn_jax.system.interruption import RESUME
from tests.fixtures.experiments import ROOT

HOLDER = """
import sys
from churn_jax.storage import locks
from churn_jax.system import interruption
interruption.listen()
locks.RENEWAL, locks.SETTLE = 0.1, 0.1
with locks.hold(sys.argv[1]):
    print("holding", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=["lock", "lease"])
def kind(request, monkeypatch):
    """On a local file system, and on one without locks."""
    if request.param == "lease":
        monkeypatch.setattr(locks, "is_remote", lambda path: True)
        monkeypatch.setattr(locks, "RENEWAL", 0.1)
        monkeypatch.setattr(locks, "SETTLE", 0.1)
    return request.param


@pytest.fixture
def another(kind):
    """Another process that holds a folder's lock."""
    remote = "locks.is_remote = lambda path: True\n" if kind == "lease" else ""
    program = HOLDER.replace("with locks", f"{remote}with locks")
    started = []

    def start(folder):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == "holding\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_writer_is_refused_and_told_who_the_first_is(another, tmp_path):
    first = another(tmp_path)
    with pytest.raises(locks.Locked) as refused, locks.hold(tmp_path):
        pass
    assert f"process {first.pid} on {socket.gethostname()} (since 2" in str(refused.value)
    first.communicate("\n")
    with locks.hold(tmp_path):
        pass


def test_what_a_dead_process_leaves_behind_is_taken_over(another, tmp_path, capsys):
    dead = another(tmp_path)
    dead.kill()
    dead.wait()
    with locks.hold(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert f"process {dead.pid} on" in (said := capsys.readouterr().err)
    assert "was cut off here; taking over" in said


def test_a_lease_is_never_read_half_written(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "is_remote", lambda path: True)
    monkeypatch.setattr(locks, "RENEWAL", 0.0)
    monkeypatch.setattr(locks, "SETTLE", 0.0)
    renewals = set()
    with locks.hold(tmp_path):
        while len(renewals) < 200:
            renewals.add(json.loads((tmp_path / "lock").read_text())["renewed"])


def test_a_lease_given_back_while_another_waits_is_free_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locks, "is_remote", lambda path: True)
    monkeypatch.setattr(locks, "RENEWAL", 0.1)
    monkeypatch.setattr(locks, "SETTLE", 0.1)
    lock = tmp_path / "lock"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "then"}))
    threading.Timer(0.3, write_atomically, (lock, "")).start()
    with locks.hold(tmp_path):
        pass
    assert "cut off" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["lease"], indirect=True)
def test_a_lease_that_cannot_be_read_for_a_moment_is_not_given_back(another, tmp_path, monkeypatch):
    first = another(tmp_path)
    reads = []

    def stumbling(path):
        """Storage answers the first time, and fails the second."""
        reads.append(path)
        if len(reads) == 2:
            raise OSError("try again")
        return type(path).read_bytes(path).decode()

    monkeypatch.setattr(type(epath.Path(tmp_path)), "read_text", stumbling)
    with pytest.raises(locks.Locked, match=f"process {first.pid}"), locks.hold(tmp_path):
        pass
    assert len(reads) > 2
    assert first.poll() is None


@pytest.mark.parametrize("kind", ["lease"], indirect=True)
def test_a_writer_whose_lease_was_taken_over_ends(another, tmp_path):
    """As after it stood still for too long: a machine asleep, or moved while it runs."""
    first = another(tmp_path)
    mine = json.dumps({"host": "elsewhere", "pid": 1, "since": "now", "renewed": 0})
    while first.poll() is None:
        write_atomically(tmp_path / "lock", mine)  # again, as it may have renewed this moment
        time.sleep(0.2)
    _, errors = first.communicate()
    assert first.returncode == 2
    assert "and process 1 on elsewhere (since now) took over" in errors
    assert (tmp_path / "lock").read_text() == mine


def test_the_lease_of_a_dead_machine_runs_out(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(locks, "LEASE", 1.0)
    (tmp_path / "lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "then"}))
    with locks.hold(tmp_path):
        pass
    assert "process 1 on elsewhere (since then) was cut off here" in capsys.readouterr().err
    assert (tmp_path / "lock").read_text() == ""


def test_a_process_may_hold_a_folder_twice(kind, tmp_path):
    with locks.hold(tmp_path):
        with locks.hold(tmp_path):
            pass
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert (tmp_path / "lock").read_text() == ""


def test_a_file_system_that_refuses_locks_gets_a_lease(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(locks, "SETTLE", 0.01)
    with locks.hold(tmp_path):
        assert "renewed" in json.loads((tmp_path / "lock").read_text())


def test_a_folder_that_cannot_be_written_is_one_line():
    with (
        pytest.raises(UserError, match="/proc/nowhere can't be written"),
        locks.hold("/proc/nowhere"),
    ):
        pass


def test_nobody_is_told_of_a_process_that_a_signal_ended_at_once(another, tmp_path, capsys):
    """Before the first step there is nothing to save, but the folder is to be given back."""
    process = another(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == RESUME
    with locks.hold(tmp_path):
        pass
    assert "cut off" not in capsys.readouterr().err
