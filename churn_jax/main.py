"""`python -m churn_jax.main --config=FILE --workdir=DIR`: train, predict, report."""

from churn_jax.system.commands import prepare, run_command

if __name__ == "__main__":
    prepare()

import sys

from absl import flags
from ml_collections import config_flags

from churn_jax.system import interruption
from churn_jax.system.arguments import parse_flags
from churn_jax.system.memory import use_huge_pages

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, as configs/digits.py:baseline."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints, predictions and the report go.")
# TPU slices need none of these; see `processes`.
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of process 0, where there are several processes."
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes there are.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
_START_TIMEOUT = flags.DEFINE_integer(
    "start_timeout", 300, "Seconds in which all processes must have started.", lower_bound=1
)


def main() -> None:
    """Parses the flags and trains."""
    values = parse_flags(flags.FLAGS, sys.argv, ("config", "workdir"))

    # JAX only once the flags are right.
    from churn_jax import config, evaluate
    from churn_jax.parallel import processes
    from churn_jax.system.console import is_first
    from churn_jax.training import devices, loop

    checked = config.check(values)
    place = processes.find_place(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    devices.start_devices(checked, processes.start(place, _START_TIMEOUT.value))
    with processes.together(place):
        loop.train(checked, _WORKDIR.value)
        first = is_first()
    if checked.runs > 1 and first:
        report = evaluate.evaluate([_WORKDIR.value], _WORKDIR.value)
        evaluate.print_table(report)


if __name__ == "__main__":
    use_huge_pages()
    interruption.listen()
    run_command(main)
