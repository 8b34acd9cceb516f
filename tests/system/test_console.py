"""One process speaks, at once, and nothing is imported for it."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from churn_jax.system import console


def test_speaking_needs_no_jax():
    program = (
        "import sys; from churn_jax.system.console import say; say('line'); "
        "sys.exit('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "line\n")


@pytest.mark.parametrize(
    ("joined", "index", "speaks"), [(False, 3, True), (True, 0, True), (True, 1, False)]
)
def test_of_several_processes_the_first_speaks(monkeypatch, capsys, joined, index, speaks):
    jax = SimpleNamespace(
        distributed=SimpleNamespace(is_initialized=lambda: joined), process_index=lambda: index
    )
    monkeypatch.setitem(sys.modules, "jax", jax)
    console.say("line")
    assert console.is_first() is speaks
    assert capsys.readouterr().err == ("line\n" if speaks else "")
