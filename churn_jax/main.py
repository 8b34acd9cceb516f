"""`python -m churn_jax.main --config=FILE --workdir=DIR`: train, predict, report."""

from churn_jax.system import startup
from churn_jax.system.commands import run_command

if __name__ == "__main__":
    startup.start(trains=True, checkpoints=True)

import sys

from absl import flags, logging
from ml_collections import config_flags

from churn_jax.system.arguments import parse_flags
from churn_jax.system.console import show


def main() -> None:
    """Parses the flags and trains."""
    known = command_flags()
    values = parse_flags(known, sys.argv, ("config", "workdir"), __doc__)

    # JAX only once the flags are right; in a terminal something is there meanwhile.
    show("loading JAX …")
    from churn_jax import config, evaluate
    from churn_jax.parallel import processes
    from churn_jax.storage.files import out_folder
    from churn_jax.system.console import is_first
    from churn_jax.training import devices, loop, more_runs

    checked = config.check(values)
    trained = more_runs.part(checked, out_folder(known.workdir, "--workdir")).config
    place = processes.find_place(known.coordinator, known.num_processes, known.process_id)
    devices.start_devices(trained, processes.start(place, known.start_timeout))
    with processes.together():
        loop.train(checked, known.workdir)
        first = is_first()
    if checked.runs > 1 and first:
        report = evaluate.evaluate([known.workdir], known.workdir, runs=checked.runs)
        evaluate.print_table(report)


def command_flags() -> flags.FlagValues:
    """The command's own flags, and those of absl's logging, such as --verbosity."""
    known = flags.FlagValues()
    for flag in flags.FLAGS.get_flags_for_module(logging):
        known[flag.name] = flag
    config_flags.DEFINE_config_file(
        "config", None, "Config file, as configs/digits.py:baseline.", flag_values=known
    )

    def text(name: str, meaning: str) -> None:
        flags.DEFINE_string(name, None, meaning, flag_values=known)

    def number(name: str, default: int | None, meaning: str, **bound: int) -> None:
        flags.DEFINE_integer(name, default, meaning, flag_values=known, **bound)  # type: ignore[call-overload]

    text("workdir", "Where checkpoints, predictions and the report go.")
    # TPU slices need none of these; see `processes`.
    text("coordinator", "HOST:PORT of process 0, where there are several processes.")
    number("num_processes", None, "How many processes there are.")
    number("process_id", None, "Which of them this is, from 0.")
    number("start_timeout", 300, "Seconds in which all must have started.", lower_bound=1)
    return known


if __name__ == "__main__":
    run_command(main)
