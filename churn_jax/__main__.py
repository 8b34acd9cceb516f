"""All commands behind one: `churn-jax COMMAND …`, or `python -m churn_jax COMMAND …`.

    churn-jax train --config=digits:codistill_skl --workdir=W     trains, predicts and reports
    churn-jax evaluate --runs=W --out=DIR                         reports on runs that are there
    churn-jax compare old.npz new.npz --fail_if='churn>5%'        predictions of anything, a gate
    churn-jax study --study=table2 --dataset=digits --workdir=W   a table or figure of the paper
    churn-jax export W --run=0 --out=DIR                          a trained model, to run elsewhere
    churn-jax completion bash                                     what a shell completes it by
    churn-jax plan --config=imagenet_codistill --topology=v3-32   what it would cost on a TPU slice

Each has --help. They are the modules churn_jax.main, evaluate, compare, study, export and plan.
"""

import runpy
import sys
from collections.abc import Sequence

import churn_jax
from churn_jax.errors import UserError, suggest
from churn_jax.system.commands import run_command

_MODULES = ("evaluate", "compare", "study", "export", "plan")
COMMANDS = {"train": "main"} | {name: name for name in _MODULES}


def main() -> None:
    """Runs the command that the first argument names, as `python -m` runs its module."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(__doc__)
    elif name == "--version":
        print(churn_jax.__version__)
    elif name == "completion":
        run_command(lambda: complete(sys.argv[2:]))
    elif name not in COMMANDS:
        run_command(lambda: _refuse(name))
    else:
        del sys.argv[1]
        runpy.run_module(f"churn_jax.{COMMANDS[name]}", run_name="__main__", alter_sys=True)


def complete(arguments: Sequence[str]) -> None:
    """`churn-jax completion SHELL`."""
    from churn_jax import main as train
    from churn_jax import plan
    from churn_jax.system import completion
    from churn_jax.system.arguments import Parser

    parser = Parser("churn_jax completion", completion.__doc__)
    parser.add_argument("shell", choices=completion.SHELLS)
    shell = parser.parse_args(arguments).shell
    known = {"train": train.command_flags(), "plan": plan.command_flags()}
    sys.stdout.write(completion.script(shell, known))


def _refuse(name: str) -> None:
    raise UserError(f"no command {name!r}{suggest(name, [*COMMANDS, 'completion'])}")


if __name__ == "__main__":
    main()
