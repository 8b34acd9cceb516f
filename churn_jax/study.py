"""Trains every cell of one of the paper's tables or figures, and writes it beside the published.

    python -m churn_jax.study --study=configs/studies/table2.py --dataset=digits --workdir=DIR

Finished cells are not trained again and interrupted ones are resumed, so the same command ends with
the same numbers however often it is stopped. Cells of one workdir are shared between studies, and
several processes may work in it at once: on one storage by the same command, each taking cells that
no other is at, or with --cell=NAME on machines of their own. Config keys are overridden for all
cells by --config.KEY=VALUE.
"""

from churn_jax.system import command_lines, startup
from churn_jax.system.commands import run_command

if __name__ == "__main__":
    command_lines.study(__doc__).help_if_asked()
    startup.start(trains=True, checkpoints=True)

import ast
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from churn_jax.errors import UserError, suggest
from churn_jax.storage.files import out_folder
from churn_jax.storage.workdir import has_config
from churn_jax.studies import output, planning, results, running
from churn_jax.studies.design import Options, Study, restrict
from churn_jax.studies.planning import Plan
from churn_jax.system import console, shipped

_OVERRIDE = "--config."
_MOST_RUNS = 10_000
# Keys of a cell's config that are the study's own, and how to say them.
_OF_THE_STUDY = {
    "runs": "say --runs",
    "first_run": "each cell has its own",
    "method.teachers": "each cell has its own",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    overrides = [argument for argument in arguments if argument.startswith(_OVERRIDE)]
    asked = command_lines.study(__doc__).parse_args([a for a in arguments if a not in overrides])
    options = Options(
        dataset=asked.dataset,
        runs=asked.runs,
        epochs=asked.epochs,
        grid=parse_grid(asked.grid),
        overrides=dict(parse_override(override) for override in overrides),
    )
    if options.runs is not None and options.runs < 2:
        raise UserError(f"--runs: {options.runs}, but churn is between runs: at least 2 are needed")
    if options.runs is not None and options.runs > _MOST_RUNS:
        raise UserError(f"--runs: {options.runs} runs a cell are more than {_MOST_RUNS}")
    workdir = out_folder(asked.workdir, "--workdir")
    file = Path(shipped.find(asked.study, shipped.STUDIES))
    study = planning.load_study(str(file), options)
    if asked.cell is not None:
        study.cell(asked.cell)  # refuses an unknown one
    plans = planning.plan(study, options, file.parents[1], workdir)
    if asked.list:
        print(describe(study, plans))
        return
    if asked.report:
        study = restrict(study, [plan.cell.name for plan in plans if plan.finished])
    else:
        running.start_devices(plans)
        running.finish([plan for plan in plans if asked.cell in (None, plan.cell.name)])
    if asked.cell:
        print(describe(study, plans))
        return
    out = workdir / "studies" / f"{study.name}_{options.dataset}"
    command = shlex.join(["python", "-m", "churn_jax.study", *arguments])
    study, found = results.report(study, plans)
    said = shrunk(plans, options)
    print(output.write(study, found, command, said, out, console.look(), asked.figures))
    print(f"\nStudy: {out / 'study.html'}")


def parse_grid(text: str) -> dict[str, tuple[float, ...]]:
    """'alpha=0.1,0.3;beta=1' as {'alpha': (0.1, 0.3), 'beta': (1.0,)}."""
    grid = {}
    for part in filter(None, text.split(";")):
        name, _, values = part.partition("=")
        if name.strip() not in ("alpha", "beta"):
            raise UserError(f"--grid={text}: {name!r}{suggest(name, ('alpha', 'beta'))}")
        if name.strip() in grid:
            raise UserError(f"--grid={text}: {name!r} is there twice")
        try:
            found = tuple(float(value) for value in values.split(","))
        except ValueError:
            raise UserError(f"--grid={text}: {values!r} are not numbers") from None
        if len(set(found)) < len(found) or not all(map(math.isfinite, found)):
            raise UserError(f"--grid={text}: {values!r} are not different finite numbers")
        grid[name.strip()] = found
    return grid


def parse_override(argument: str) -> tuple[str, Any]:
    """'--config.model.name=resnet8' as ('model.name', 'resnet8')."""
    key, equals, value = argument.removeprefix(_OVERRIDE).partition("=")
    if not equals:
        raise UserError(f"{argument}: say --config.KEY=VALUE")
    if key in _OF_THE_STUDY:
        raise UserError(f"{argument}: {_OF_THE_STUDY[key]}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return key, value


def describe(study: Study, plans: Sequence[Plan]) -> str:
    """One line a cell: its name, how far it is, and what it trains."""
    lines = [f"{study.name}: {study.title}"]
    width = max((len(plan.cell.name) for plan in plans), default=0)
    for plan in plans:
        config = plan.config
        begun = "begun" if has_config(plan.folder) else "not begun"
        state = "finished" if plan.finished else begun
        learns = f", learns from {', '.join(plan.cell.taught_by)}" if plan.teachers else ""
        changed = "".join(f", {key}={value}" for key, value in plan.cell.overrides.items())
        lines.append(
            f"{plan.cell.name.ljust(width)}  {state.ljust(9)}  {config.method.label}: "
            f"{config.runs} runs of {config.model.name}, {config.epochs:g} epochs{changed}{learns}"
        )
    if not plans:
        lines.append("no cells: its figures follow from formulas")
    return "\n".join(lines)


def shrunk(plans: Sequence[Plan], options: Options) -> list[str]:
    """Sentences on what the command made other than the study and the data set's recipe have it."""
    sentences = []
    if options.runs is not None:
        sentences.append(f"{options.runs} runs a cell (--runs).")
    if options.epochs is not None:
        sentences.append(
            f"{options.epochs:g} epochs (--epochs); warm-up, decays and ramps scaled alike."
        )
    for name, values in options.grid.items():
        sentences.append(f"{name} in {', '.join(f'{v:g}' for v in values)} (--grid).")
    for key, value in options.overrides.items():
        sentences.append(f"config.{key} = {value}.")
    models = sorted({f"{plan.config.model.name}" for plan in plans})
    if models:
        sentences.insert(0, f"{options.dataset} with {', '.join(models)}.")
    return sentences


if __name__ == "__main__":
    run_command(main)
