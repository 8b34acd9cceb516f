"""Co-distilled pairs on the digits: `configs/digits.py:codistill_skl`, for quickstart."""

from pathlib import Path
from runpy import run_path

from churn_jax import recipes


def get_config(arg: str = ""):
    """`arg`: nothing, or tiny."""
    digits = run_path(str(Path(__file__).with_name("digits.py")))
    return digits["get_config"](recipes.preset("codistill_skl", arg))
