"""Evaluating the runs of workdirs: finding their predictions, measuring, and the report."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from churn_jax.analysis import asked as asked_for
from churn_jax.analysis import building, intervals, learning, summaries, validity
from churn_jax.analysis.asked import Asked, Known
from churn_jax.analysis.blocks import EVERYTHING, Wanted, of_report
from churn_jax.analysis.building import Subject, Training
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UserError
from churn_jax.predictions import origins, unequal, workdirs
from churn_jax.predictions.memory_maps import in_bounded_memory
from churn_jax.predictions.run import Run
from churn_jax.report.estimates import Estimate
from churn_jax.report.report import FailedRun, Point, Report

# Saves the predictions of a workdir's checkpoint at a step.
PredictAgain = Callable[[epath.PathLike, int], None]


def evaluate(
    run_dirs: Sequence[epath.PathLike],
    step: str | int,
    predict_again: PredictAgain,
    paired: bool = False,
    first_runs: int | None = None,
    everything: bool = True,
    measures: Sequence[str] = (),
    positive: str | None = None,
) -> tuple[Report, Mapping[str, Any]]:
    """Compares all runs of the workdirs.

    Args:
      run_dirs: workdirs of trainings.
      step: a training step, 'latest' (of each workdir), or 'all' (the latest, with accuracy and
        churn over training beside it).
      predict_again: called where predictions are missing or damaged.
      paired: whether run r of each group belongs to run r of the first, as an update to the model
        that it updates: then only these are compared.
      first_runs: so many of each workdir; None is all.
      everything, measures, positive: as of `comparison.compare`.

    Returns:
      The report, and the provenance of its first run.

    Raises:
      UserError: fewer than two runs, a run given twice, or runs of different examples, labels,
        splits or preprocessing.
    """
    shown = {workdir: workdirs.run_range(workdir, first_runs) for workdir in run_dirs}
    failed = [
        run
        for workdir in run_dirs
        for run in workdirs.failed_runs(workdir)
        if run["run"] in shown[workdir]
    ]
    loaded = {
        workdir: [
            run
            for run in _load(workdir, step, predict_again)
            if run.provenance["run"] in shown[workdir]
        ]
        for workdir in run_dirs
    }
    # A workdir that is given twice repeats its runs, which is refused.
    groups = workdirs.group_runs(run for workdir in run_dirs for run in loaded[workdir])
    history = None
    runs = [run for group in groups for run in group.runs]
    if len(runs) < 2:
        why = "".join(f"; {validity.failure(FailedRun(**run))}" for run in failed)
        raise UserError(f"churn is between runs: at least 2 are needed, there is {len(runs)}{why}")
    unequal.refuse_mismatched(runs)
    if paired:
        groups = [_in_order(group) for group in groups]
        runs = [run for group in groups for run in group.runs]
        unequal.refuse_unmatched({g.name: [run.provenance for run in g.runs] for g in groups})
    if step == "all":
        history = _over_training(run_dirs, groups, predict_again)
    provenance = runs[0].provenance
    classes = provenance.get("class_names") or [str(i) for i in range(runs[0].log_probs.shape[2])]
    asked = Known(classes, labels=True, probs=True, positive=positive).resolve(
        {"--measures": measures}
    )
    subject = Subject(
        dataset=provenance["dataset"],
        split=provenance["split"],
        run_names=[
            f"{group.name} {run.provenance['run']}" for group in groups for run in group.runs
        ],
        origins=[run.provenance for run in runs],
        notes=[
            *(f"Prediction files {note}." for note in sorted({run.note for run in runs} - {""})),
            *([building.PAIRED] if paired else []),
            *asked_for.notes(asked, classes),
        ],
        failed=failed,
        trainings=[
            Training(group.config_hash, group.step, _intra_pair_churn(group)) for group in groups
        ],
        over_training=history,
    )
    samples = _samples(groups, of_report(everything), paired, asked)
    report = building.report(samples, subject, runs[0].ids, classes)
    learnt = learning.curves(groups, loaded, first_runs) or None
    return dataclasses.replace(report, learning=learnt), provenance


def _in_order(group: workdirs.Group) -> workdirs.Group:
    return dataclasses.replace(
        group, runs=sorted(group.runs, key=lambda run: run.provenance["run"])
    )


def _samples(
    groups: Sequence[workdirs.Group],
    wanted: Wanted = EVERYTHING,
    paired: bool = False,
    asked: Sequence[Asked] = (),
) -> Samples:
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
    measured = measure(
        runs,
        first.labels,
        num_examples,
        num_classes,
        asked_for.wanted(asked, num_classes, wanted),
        building.changes(len(groups)),
        paired,
    )
    return Samples(measured, [group.name for group in groups], paired, asked)


def _intra_pair_churn(group: workdirs.Group) -> Estimate | None:
    """Churn between members 0 and 1 of each run: how far co-distillation has drawn them together.

    It is not the churn of retraining, and never reported as that.
    """
    if min(len(run.log_probs) for run in group.runs) < 2:
        return None
    differ = np.stack(
        [run.log_probs[0].argmax(1) != run.log_probs[1].argmax(1) for run in group.runs]
    ).astype(np.float64)
    sample = intervals.run_sample(differ, group.name)
    return summaries.over_runs("intra_pair_churn", sample, differ.mean(1))


def _over_training(
    run_dirs: Sequence[epath.PathLike],
    groups: Sequence[workdirs.Group],
    predict_again: PredictAgain,
) -> dict[str, tuple[Point, ...]]:
    """Accuracy and churn of each group at every step that all its workdirs have."""
    history: dict[str, list[Point]] = {group.name: [] for group in groups}
    names = {group.config_hash: group.name for group in groups}
    sizes = {group.config_hash: len(group.runs) for group in groups}
    shown = {origins.identity(run.provenance) for group in groups for run in group.runs}
    steps = {workdir: workdirs.all_steps(workdir) for workdir in run_dirs}
    for step in sorted({step for found in steps.values() for step in found}):
        having = [workdir for workdir, found in steps.items() if step in found]
        found = workdirs.group_runs(
            run
            for workdir in having
            for run in workdirs.load_step(workdir, step, predict_again)
            if origins.identity(run.provenance) in shown
        )
        whole = [group for group in found if len(group.runs) == sizes.get(group.config_hash)]
        if not whole:
            continue
        samples = _samples(whole)
        for index, group in enumerate(whole):
            measures = summaries.group_measures(samples, index)
            accuracy = measures["accuracy"]
            assert accuracy is not None
            point = Point(step, accuracy, measures["churn"])
            history[names[group.config_hash]].append(point)
    return {name: tuple(points) for name, points in history.items()}


def _load(
    workdir: epath.PathLike, step: str | int, predict_again: PredictAgain
) -> list[workdirs.Predictions]:
    """The predictions of a workdir's runs, without those whose training failed before."""
    failed = {run["run"]: run["step"] for run in workdirs.failed_runs(workdir)}
    if failed and not workdirs.all_steps(workdir):
        return []  # all of them failed
    at = _step(workdir, step)
    return [
        run
        for run in workdirs.load_step(workdir, at, predict_again)
        if at < failed.get(run.provenance["run"], at + 1)
    ]


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
