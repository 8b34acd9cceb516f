"""What every hostile input must meet: one line that names the key or file, and exit code 2."""

import pytest

from churn_jax import config
from churn_jax.system.commands import run_command
from tests.fixtures.experiments import TINY


def refusal(command, capsys):
    """Runs a command in this process as its own would; returns its one line."""
    with pytest.raises(SystemExit) as caught:
        run_command(command)
    error = capsys.readouterr().err
    assert caught.value.code == 2, error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert error[:-1].isprintable()
    return error


def flat(values):
    """{dotted key: value} as nested dicts, upon the tiny config of tests."""
    nested = config.default().to_dict()
    for key, value in (
        {k: v for k, v in TINY.items() if not k.startswith("mesh")} | values
    ).items():
        *groups, name = key.split(".")
        at = nested
        for group in groups:
            at = at[group]
        at[name] = value
    return nested
