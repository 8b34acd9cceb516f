"""Churn, calibration and their uncertainty across independent runs, from any number of workdirs.

    python -m churn_jax.evaluate --runs=DIR[,DIR…] --out=DIR [--step=latest|N|all] [--paired]
                                 [--measures=A,B,…] [--figures]

Reads the saved predictions of each workdir, or makes them from its checkpoints, and writes
report.json, report.md and report.html. Runs of one configuration form a group, wherever they were
trained. `--step=all` adds accuracy and churn over training. `--paired` holds run r of an update
against run r of what it updates, the first workdir. `--measures` adds or leaves out measures, as in
`compare`. `--figures` adds every figure as SVG and PDF.
"""

from churn_jax.system import command_lines, startup
from churn_jax.system.commands import run_command

if __name__ == "__main__":
    command_lines.evaluate(__doc__).help_if_asked()
    startup.start(checkpoints=True)

import sys
from collections.abc import Sequence

from etils import epath

from churn_jax import report as reports
from churn_jax.analysis import evaluation
from churn_jax.report import Report
from churn_jax.report.thumbnails import pictures
from churn_jax.storage.files import out_folder, reach
from churn_jax.storage.paths import split_paths
from churn_jax.system import console


def evaluate(
    run_dirs: Sequence[epath.PathLike],
    out: epath.PathLike,
    step: str | int = "latest",
    paired: bool = False,
    runs: int | None = None,
    figures: bool = False,
    everything: bool = True,
    measures: Sequence[str] = (),
    positive: str | None = None,
    making: reports.Making | None = None,
) -> Report:
    """Compares all runs of the workdirs and writes the report's files into `out`.

    Args:
      run_dirs: workdirs of trainings.
      out: folder of the report; made if it is not there.
      step: a training step, 'latest' (of each workdir), or 'all' (the latest, with accuracy and
        churn over training beside it).
      paired: whether run r of each group belongs to run r of the first, as an update to the model
        that it updates: then only these are compared.
      runs: so many, the first, of each workdir; None is all.
      figures: whether every figure of the page goes into `out`/figures as SVG and PDF.
      everything: whether to measure entropy, Brier score, distances of probabilities and classwise
        calibration too.
      measures: what no report has unless asked, such as 'auc', 'recall[cat]' or 'top5_churn'.
      positive: the positive one of two classes, where their names don't say it.
      making: by which command, for the foot of the page.

    Returns:
      The report; `report["groups"][0]["churn"]["mean"]` reads it as report.json has it.

    Raises:
      UserError: fewer than two runs, a run given twice, or runs of different examples, labels,
        splits or preprocessing, or a measure that there is not. Nothing is written then.
    """
    if figures:
        reports.refuse_without_matplotlib()
    run_dirs = [reach(workdir, "--runs") for workdir in run_dirs]
    out = out_folder(out, "--out")
    reports.clear(out)  # what an earlier evaluation found must not pass for this one's
    report, provenance = evaluation.evaluate(
        run_dirs, step, _predict_again, paired, runs, everything, measures, positive
    )
    shown = pictures(provenance, reports.shown_ids(report))
    reports.write(report, out, shown, draw_figures=figures, making=making)
    return report


def print_table(report: Report) -> None:
    """Prints the groups' table and what the contrasts say, as wide as the terminal."""
    print(reports.to_terminal(report, console.look()))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = command_lines.evaluate(__doc__).parse_args(arguments)
    report = evaluate(
        split_paths(options.runs),
        options.out,
        options.step,
        options.paired,
        figures=options.figures,
        everything=options.measures.everything,
        measures=options.measures.asked,
        positive=options.positive,
        making=reports.made_by("churn_jax.evaluate", arguments),
    )
    print_table(report)
    print(f"\nReport: {epath.Path(options.out) / 'report.html'}")


def _predict_again(workdir: epath.PathLike, step: int) -> None:
    """Saves the predictions of a checkpoint, with JAX, which saved predictions do not need."""
    from churn_jax.training.inference import predict_workdir

    predict_workdir(workdir, step)


if __name__ == "__main__":
    run_command(main)
