"""`python -m churn_jax.main --config=FILE --workdir=DIR`: train, predict, report."""

import sys

from absl import flags
from ml_collections import config_flags

from churn_jax.commands import run_command
from churn_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, as configs/digits.py:baseline."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints, predictions and the report go.")


def main() -> None:
    """Parses the flags and trains."""
    try:
        unknown = flags.FLAGS(sys.argv)[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if unknown:
        raise UserError(f"unexpected argument {unknown[0]!r}")
    for flag in (_CONFIG, _WORKDIR):
        if not flag.value:
            raise UserError(f"--{flag.name} is missing")

    from churn_jax import config, evaluate, sharding, train  # JAX only once the flags are right

    checked = config.check(_CONFIG.value)
    sharding.start_devices(checked)
    train.train(checked, _WORKDIR.value)
    if checked.runs > 1:
        report = evaluate.evaluate([_WORKDIR.value], _WORKDIR.value)
        evaluate.print_table(report)


if __name__ == "__main__":
    run_command(main)
