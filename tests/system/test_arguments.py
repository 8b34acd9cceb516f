"""What is wrong with a command line or its config file is one line, and no traceback."""

import os
import subprocess
import sys

import pytest

from tests.fixtures.experiments import ROOT

FILE = """from churn_jax import recipes
def get_config(arg="baseline"):
    if arg == "broken":
        return int("x")
    return recipes.finish(recipes.start("digits"), arg, {})
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config=own.py:nonsense"], "error: unknown method 'nonsense' (one of: baseline, "),
        (["--config=own.py:entropi"], "error: unknown method 'entropi' (did you mean 'entropy'?)"),
        (["--config=own.py:broken"], "own.py, line 4: ValueError: invalid literal for int()"),
        (
            ["--config=own.py", "--config.model.nmae=x"],
            "error: config.model.nmae: no such key (did you mean 'model.name'?)\n",
        ),
        (["--config=own.py", "--config.epochs=x"], "error: flag --config.epochs=x: could not"),
    ],
)
def test_one_line_says_what_where_and_the_nearest_right_thing(tmp_path, arguments, said):
    (tmp_path / "own.py").write_text(FILE)
    done = subprocess.run(
        [sys.executable, "-m", "churn_jax.main", *arguments, "--workdir=W"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert said in done.stderr
