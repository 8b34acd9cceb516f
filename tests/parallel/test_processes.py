"""Several processes: where each stands, and that all end when one does. No training here."""

import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from churn_jax.errors import UserError
from churn_jax.parallel import liveness, processes, sharding
from churn_jax.parallel.liveness import LOST_PROCESS
from churn_jax.parallel.processes import Place, find_place
from churn_jax.system import private_surfaces
from tests.fixtures.experiments import make_config, run_module

ENVIRONMENT = {
    "JAX_COORDINATOR_ADDRESS": "host:1234",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "3",
}

# One of three processes: they connect, and once all have, each does as it is told.
COMPANION = """
import socket, sys, time
from churn_jax.errors import UserError
from churn_jax.parallel.liveness import Watch
index, port, act = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if index == 0:
    watch = Watch.listen(socket.create_server(("127.0.0.1", port)), 3)
else:
    for _ in range(100):
        try:
            watch = Watch.connect("127.0.0.1", port, index, 3)
            break
        except UserError:
            time.sleep(0.1)
print("connected", flush=True)
sys.stdin.readline()
if act == "fail":
    watch.tell_failure(2, ValueError("no such folder"))
    sys.exit(2)
if act == "finish":
    watch.tell_done()
    sys.exit(0)
time.sleep(60)
"""


def test_one_process_needs_nothing():
    assert find_place(environ={}) is None


def test_flags_come_before_the_environment():
    assert find_place(environ=ENVIRONMENT) == Place("host:1234", 4, 3)
    assert find_place("other:1", 2, 0, ENVIRONMENT) == Place("other:1", 2, 0)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"JAX_PROCESS_ID": ""}, "missing: --process_id (JAX_PROCESS_ID)"),
        ({"JAX_NUM_PROCESSES": ""}, "missing: --num_processes (JAX_NUM_PROCESSES)"),
        ({"JAX_PROCESS_ID": "one"}, "JAX_PROCESS_ID: 'one' is not a number"),
        ({"JAX_PROCESS_ID": "4"}, "--process_id: 4 is not one of 0 to 3"),
        ({"JAX_COORDINATOR_ADDRESS": "host"}, "'host' is not HOST:PORT"),
    ],
)
def test_a_place_that_makes_no_sense_is_refused(changes, fault):
    with pytest.raises(UserError) as refused:
        find_place(environ=ENVIRONMENT | changes)
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "libtpu", "chips", "expected"),
    [
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True, 4, True),
        ({"TPU_PROCESS_ADDRESSES": "a:1,b:1"}, True, 4, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, True, 4, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "JAX_PLATFORMS": "cpu"}, True, 4, False),
        # Slices of one host each would train apart.
        ({"TPU_WORKER_HOSTNAMES": "localhost", "MEGASCALE_NUM_SLICES": "2"}, True, 4, True),
        ({"MEGASCALE_COORDINATOR_ADDRESS": "a"}, True, 4, True),
        # A TPU VM asks its metadata server; a notebook on one host forbids that.
        ({}, True, 8, True),
        ({"TPU_SKIP_MDS_QUERY": "1"}, True, 8, False),
        # No chip, or nothing that could drive it.
        ({}, True, 0, False),
        ({}, False, 8, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, False, 8, False),
    ],
)
def test_tpu_slices_are_recognised(monkeypatch, environ, libtpu, chips, expected):
    found = object() if libtpu else None
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: found)
    monkeypatch.setattr(private_surfaces, "num_tpu_chips", lambda: chips)
    assert processes.on_tpu_slice(environ) is expected


def test_the_first_process_is_sought_where_jax_reached_it(monkeypatch):
    """Not by its own name, which pods without host networking don't resolve."""
    address = "codistill-0.codistill:8482"
    monkeypatch.setattr(private_surfaces, "coordinator_address", lambda: address)
    monkeypatch.setattr(processes.jax, "process_index", lambda: 2)
    monkeypatch.setattr(processes.jax, "process_count", lambda: 4)
    monkeypatch.setattr(processes, "agree", lambda port: 4321)
    monkeypatch.setattr(processes.Watch, "connect", lambda *place: place)
    assert processes.start_watch() == ("codistill-0.codistill", 4321, 2, 4)


def test_a_first_process_that_cannot_be_reached_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UserError, match=f"process 1 of 2 can't reach process 0 at .*:{port}"):
        liveness.Watch.connect("127.0.0.1", port, 1, 2)


def test_processes_that_do_not_come_are_named(monkeypatch):
    monkeypatch.setattr(liveness, "CONNECT_TIMEOUT", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    ours = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    ours[0].sendall(b"1\n")
    ours[1].sendall(b"GET / HTTP/1.1\n")  # a stranger
    with pytest.raises(UserError, match=r"processes \[2\] of 3 don't connect"):
        liveness.Watch.listen(listener, 3)
    for each in ours:
        each.close()


def test_processes_that_would_idle_are_refused():
    devices = [SimpleNamespace(process_index=process, platform="cpu") for process in (0, 1, 2)]
    config = make_config(mesh__run=0, mesh__member=0, mesh__data=0)
    with pytest.raises(UserError, match=r"config\.batch_size: 16 examples .* do not divide"):
        sharding.make_mesh(config, devices)


def test_an_unreachable_coordinator_is_one_line(tmp_path):
    address = ["--coordinator=127.0.0.1:9", "--num_processes=2", "--process_id=1"]
    done = run_module(
        "churn_jax.main",
        "--config=configs/digits.py:baseline,tiny",
        f"--workdir={tmp_path}",
        "--start_timeout=1",
        *address,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "nobody answers at 127.0.0.1:9 after 1 s" in line


@pytest.fixture
def companions():
    """Starts COMPANION three times; kills what is left."""
    started = []

    def start(*acts):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for index, act in enumerate(acts):
            command = [sys.executable, "-c", COMPANION, str(index), str(port), act]
            started.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        for process in started:
            assert process.stdout.readline() == "connected\n"
        for process in started:
            process.stdin.write("act\n")
            process.stdin.flush()
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("killed", [0, 1])
def test_all_end_when_one_is_killed(companions, killed):
    started = companions("wait", "wait", "wait")
    started[killed].kill()
    for index, process in enumerate(started):
        _, errors = process.communicate(timeout=30)
        if index != killed:
            assert process.returncode == LOST_PROCESS
            assert f"error: process {killed} of 3 is gone" in errors
            assert "start all again to resume" in errors


def test_all_end_when_one_fails_and_say_why(companions):
    first, second, _ = companions("wait", "wait", "fail")
    for process in (first, second):
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 2
        assert errors == "error: process 2 of 3 failed: no such folder\n"


def test_one_that_is_done_leaves_the_others_alone(companions):
    first, second, third = companions("wait", "finish", "wait")
    second.wait(timeout=30)
    with pytest.raises(subprocess.TimeoutExpired):
        third.wait(timeout=1)
    assert first.poll() is None
