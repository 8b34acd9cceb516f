"""Churn, calibration and their uncertainty across independent runs, from any number of workdirs.

    python -m churn_jax.evaluate --runs=DIR[,DIR…] --out=DIR [--step=latest|N|all]

Reads the saved predictions of each workdir, or makes them from its checkpoints, and writes
report.json, report.md and report.html. Runs of one configuration form a group, wherever they were
trained. `--step=all` adds accuracy and churn over training.
"""

from churn_jax.system.commands import prepare, run_command

if __name__ == "__main__":
    prepare()

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from churn_jax import report as reports
from churn_jax.analysis import breakdowns, intervals, summaries, validity
from churn_jax.analysis.blocks import EVERYTHING
from churn_jax.analysis.one_pass import Measured, measure
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UserError
from churn_jax.predictions import origins, workdirs
from churn_jax.predictions.memory_maps import in_bounded_memory
from churn_jax.predictions.run import Run
from churn_jax.report.thumbnails import pictures
from churn_jax.storage.files import out_folder, reach
from churn_jax.storage.paths import split_paths
from churn_jax.system.arguments import Parser

SCHEMA = 1


def evaluate(
    run_dirs: Sequence[epath.PathLike], out: epath.PathLike, step: str | int = "latest"
) -> dict[str, Any]:
    """Compares all runs of the workdirs and writes the report's three files into `out`.

    Args:
      run_dirs: workdirs of trainings.
      out: folder of the report; made if it is not there.
      step: a training step, 'latest' (of each workdir), or 'all' (the latest, with accuracy and
        churn over training beside it).

    Returns:
      The report, as it is in report.json.

    Raises:
      UserError: fewer than two runs, a run given twice, or runs of different examples, labels,
        splits or preprocessing. Nothing is written then.
    """
    run_dirs = [reach(workdir, "--runs") for workdir in run_dirs]
    out = out_folder(out, "--out")
    failed = [run for workdir in run_dirs for run in workdirs.failed_runs(workdir)]
    groups = workdirs.group_runs(run for workdir in run_dirs for run in _load(workdir, step))
    report = describe(groups, failed)
    if step == "all":
        report["over_training"] = _over_training(run_dirs, groups)
    shown = [row["id"] for row in report["ledger"]]
    reports.write(report, out, pictures(groups[0].runs[0].provenance, shown))
    return report


def describe(
    groups: Sequence[workdirs.Group], failed: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The report on groups of runs, as data; `failed` are runs of `workdirs.failed_runs`."""
    runs = [run for group in groups for run in group.runs]
    if len(runs) < 2:
        why = "".join(f"; {validity.failure(run)}" for run in failed)
        raise UserError(f"churn is between runs: at least 2 are needed, there is {len(runs)}{why}")
    workdirs.refuse_mismatched(runs)
    provenance = runs[0].provenance
    report = {
        "schema": SCHEMA,
        "dataset": provenance["dataset"],
        "split": provenance["split"],
        "num_examples": len(runs[0].ids),
        "num_classes": runs[0].log_probs.shape[2],
        "notes": [],
    }
    samples = Samples(_measure(groups), [group.name for group in groups])
    report |= summaries.judgement(samples)
    names = [f"{group.name} {run.provenance['run']}" for group in groups for run in group.runs]
    classes = provenance.get("class_names") or [str(i) for i in range(report["num_classes"])]
    report |= breakdowns.all_details(samples, names, runs[0].ids, classes, {})
    validity.add(report, samples, names, [run.provenance for run in runs], failed)
    for entry, group in zip(report["groups"], groups, strict=True):
        entry["config_hash"] = group.config_hash
        entry["step"] = group.step
        entry["intra_pair_churn"] = _intra_pair_churn(group)
    return report


def print_table(report: dict[str, Any]) -> None:
    """Prints the groups' table and what the contrasts say."""
    print(reports.to_terminal(report))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser("churn_jax.evaluate", __doc__)
    parser.add_argument("--runs", required=True, help="workdirs, separated by commas")
    parser.add_argument("--out", required=True, help="folder for the report")
    parser.add_argument("--step", default="latest", help="latest, all, or a number")
    options = parser.parse_args(arguments)
    report = evaluate(split_paths(options.runs), options.out, options.step)
    print_table(report)
    print(f"\nReport: {epath.Path(options.out) / 'report.html'}")


def _measure(groups: Sequence[workdirs.Group]) -> Measured:
    runs = [
        Run(
            rows=in_bounded_memory(run.counted, run.log_probs),
            kind="log_probs",
            group=index,
            name=f"{group.name} run {run.provenance['run']}",
        )
        for index, group in enumerate(groups)
        for run in group.runs
    ]
    first = groups[0].runs[0]
    _, num_examples, num_classes = first.log_probs.shape
    return measure(runs, first.labels, num_examples, num_classes, EVERYTHING)


def _intra_pair_churn(group: workdirs.Group) -> dict[str, Any] | None:
    """Churn between members 0 and 1 of each run: how far co-distillation has drawn them together.

    It is not the churn of retraining, and never reported as that.
    """
    if min(len(run.log_probs) for run in group.runs) < 2:
        return None
    differ = np.stack(
        [run.log_probs[0].argmax(1) != run.log_probs[1].argmax(1) for run in group.runs]
    ).astype(np.float64)
    values = differ.mean(1)
    entry = summaries.summary("intra_pair_churn", intervals.run_sample(differ, group.name), values)
    return entry | {"per_run": values.tolist()}


def _over_training(
    run_dirs: Sequence[epath.PathLike], groups: Sequence[workdirs.Group]
) -> dict[str, list[dict[str, Any]]]:
    """Accuracy and churn of each group at every step that all its workdirs have."""
    history: dict[str, list[dict[str, Any]]] = {group.name: [] for group in groups}
    names = {group.config_hash: group.name for group in groups}
    shown = {origins.identity(run.provenance) for group in groups for run in group.runs}
    steps = {workdir: workdirs.all_steps(workdir) for workdir in run_dirs}
    for step in sorted({step for found in steps.values() for step in found}):
        having = [workdir for workdir, found in steps.items() if step in found]
        found = workdirs.group_runs(
            run
            for workdir in having
            for run in workdirs.load_step(workdir, step, _predict_again)
            if origins.identity(run.provenance) in shown
        )
        sizes = {group.config_hash: len(group.runs) for group in groups}
        whole = [group for group in found if len(group.runs) == sizes.get(group.config_hash)]
        if not whole:
            continue
        samples = Samples(_measure(whole), [group.name for group in whole])
        entries = [summaries.describe_group(samples, index) for index in range(len(whole))]
        for group, entry in zip(whole, entries, strict=True):
            point = {"step": step, "accuracy": entry["accuracy"], "churn": entry["churn"]}
            history[names[group.config_hash]].append(point)
    return history


def _load(workdir: epath.PathLike, step: str | int) -> list[workdirs.Predictions]:
    """The predictions of a workdir's runs, without those whose training failed before."""
    failed = {run["run"]: run["step"] for run in workdirs.failed_runs(workdir)}
    if failed and not workdirs.all_steps(workdir):
        return []  # all of them failed
    at = _step(workdir, step)
    return [
        run
        for run in workdirs.load_step(workdir, at, _predict_again)
        if at < failed.get(run.provenance["run"], at + 1)
    ]


def _predict_again(workdir: epath.PathLike, step: int) -> None:
    """Writes the predictions of a checkpoint, with JAX, which saved predictions do not need."""
    from churn_jax.training.inference import predict_workdir

    predict_workdir(workdir, step)


def _step(workdir: epath.PathLike, step: str | int) -> int:
    """The training step that is meant, for one workdir."""
    if step not in ("latest", "all"):
        try:
            return int(step)
        except ValueError:
            raise UserError(f"--step={step}: must be latest, all or a number") from None
    steps = workdirs.all_steps(workdir)
    if not steps:
        raise UserError(f"{workdir}: no predictions and no checkpoints: not a workdir of runs")
    return steps[-1]


if __name__ == "__main__":
    run_command(main)
