"""Signals between and outside of steps, in a stand-in for the training loop that needs no JAX."""

import signal
import subprocess
import sys

import pytest

from churn_jax.system.interruption import CTRL_C, RESUME
from tests.fixtures.experiments import ROOT

# Says where it is, and does one step for each line that it is given.
LOOP = """
import sys
from churn_jax.system import interruption
from churn_jax.system.commands import run_command

def main():
    print("starting", flush=True)
    sys.stdin.readline()
    with interruption.Interruption() as stop:
        for step in range(1, 4):
            sys.stdin.readline()
            stop.begin()
            print("step", step, flush=True)
            sys.stdin.readline()
            if stop.wanted(step):
                print("saved", flush=True)
                raise stop.ended()
    print("finished", flush=True)

interruption.listen()
run_command(main)
"""


@pytest.fixture
def loop():
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == "starting\n"
    yield process
    process.kill()
    process.communicate()


def proceed(process, *, lines):
    process.stdin.write("\n" * lines)
    process.stdin.flush()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, RESUME), (signal.SIGINT, CTRL_C)])
def test_with_nothing_to_save_it_ends_at_once(loop, number, code):
    loop.send_signal(number)
    assert loop.wait(timeout=30) == code
    assert loop.stderr.read() == "interrupted; the same command goes on\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, RESUME), (signal.SIGINT, CTRL_C)])
def test_the_step_under_way_is_finished_and_saved(loop, number, code):
    proceed(loop, lines=2)
    assert loop.stdout.readline() == "step 1\n"
    loop.send_signal(number)
    assert "finishing the step" in loop.stderr.readline()
    proceed(loop, lines=1)
    assert loop.wait(timeout=30) == code
    assert loop.stdout.read() == "saved\n"


def test_a_second_ctrl_c_ends_at_once(loop):
    proceed(loop, lines=2)
    assert loop.stdout.readline() == "step 1\n"
    loop.send_signal(signal.SIGINT)
    assert "finishing the step" in loop.stderr.readline()
    loop.send_signal(signal.SIGINT)
    assert loop.wait(timeout=30) == CTRL_C
    assert loop.stdout.read() == ""


def test_without_signals_it_finishes(loop):
    proceed(loop, lines=7)
    assert loop.wait(timeout=30) == 0
    assert loop.stdout.read().endswith("finished\n")
