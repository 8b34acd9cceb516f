"""What the finished cells of a study say: measures with intervals, contrasts, and choices."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from churn_jax import metrics
from churn_jax.analysis import building, intervals, summaries, validity
from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.building import Subject
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.analysis.summaries import CONTRASTED
from churn_jax.errors import UserError
from churn_jax.metrics.definitions import definition
from churn_jax.predictions import unequal, workdirs
from churn_jax.predictions.origins import Origin
from churn_jax.predictions.run import Run
from churn_jax.report.estimates import Group, Measures
from churn_jax.report.report import FailedRun, Report
from churn_jax.storage.checksums import unsealed
from churn_jax.studies import updates
from churn_jax.studies.design import (
    Divergence,
    Frontier,
    Histogram,
    Selection,
    Sources,
    Study,
    Sweep,
    Tradeoff,
    resolved,
)
from churn_jax.studies.planning import Plan
from churn_jax.studies.study_report import (
    AccuracySpread,
    CellGroup,
    Choice,
    ConfidenceHistogram,
    Drift,
    Settings,
    Share,
    StudyReport,
)
from churn_jax.training.inference import predict_workdir

BINS = 20  # of confidence histograms
_NO_CELLS: dict[str, Any] = {
    "dataset": "", "split": "", "num_examples": 0, "groups": (), "contrasts": ()
}  # fmt: skip


def report(study: Study, plans: Sequence[Plan]) -> tuple[Study, StudyReport]:
    """Everything that the study's tables and figures show, and the study with its choices made.

    There is one group a cell, and a contrast for every two cells that share a table and for each
    point of a curve with its reference.
    """
    validation = _validation(study, plans)
    by_validation = _select(study.selections, validation, "validation churn")
    study = resolved(study, {choice.method: choice.cell for choice in by_validation})
    shown = [plan for plan in plans if plan.cell.name in shown_cells(study)]
    found = StudyReport(
        **_cells(shown, study) if shown else _NO_CELLS,
        study=study.name,
        title=study.title,
    )
    drifting = [cell for f in study.figures if isinstance(f, Divergence) for cell in f.cells]
    if drifting:
        drifts = tuple(_drift(plan) for plan in plans if plan.cell.name in drifting)
        found = dataclasses.replace(found, divergence=drifts)
    if study.selections:
        by_test = _select(study.selections, found, "test churn, as the paper")
        found = dataclasses.replace(found, selections=(*by_test, *by_validation))
    return study, found


def shown_cells(study: Study) -> list[str]:
    """The cells that tables and figures show: all but those that only teach."""
    names = [row.cell for table in study.tables for row in table.rows]
    for figure in study.figures:
        match figure:
            case Sweep() | Tradeoff():
                names += [figure.reference]
                names += [cell for points in figure.series.values() for _, cell in points]
            case Histogram() | Frontier():
                names += figure.cells.values()
            case Divergence():
                names += figure.cells
            case Sources():
                names += [figure.everything, *itertools.chain(*figure.sources.values())]
    names += [cell.old for cell in study.cells if cell.name in names and cell.old]
    names += study.spreads
    names += [cell for selection in study.selections for _, cell in selection.points]
    return list(dict.fromkeys(names))


def _cells(plans: Sequence[Plan], study: Study) -> dict[str, Any]:
    """The fields of a `StudyReport` that come of the predictions on the test split."""
    samples, subject = _measured(plans, "test")
    places = {plan.cell.name: place for place, plan in enumerate(plans)}
    contrasted = [(places[a], places[b]) for a, b in _pairs(study)]
    found = building.without_breakdowns(samples, subject, contrasted, _contrasted(study))
    found = updates.added(found, samples, _olds(plans), contrasted, updates.shown(study))
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    gaps = samples.measured.values["gap"]
    fields["groups"] = tuple(
        _cell_group(group, plan, gaps[samples.members(place)])
        for place, (group, plan) in enumerate(zip(found.groups, plans, strict=True))
    )
    keys = ("code_version", "versions", "platform", "topology")
    fields["shares"] = _shares(study, samples, places, _olds(plans)) or None
    fields["accuracy_spreads"] = _spreads(study, samples, places) or None
    return fields | {"made_by": {key: subject.origins[0][key] for key in keys}}


def _measured(plans: Sequence[Plan], split: str) -> tuple[Samples, Subject]:
    """What is measured of the cells' runs on a split, and what else there is to say of them."""
    loaded = [_predictions(plan, split) for plan in plans]
    runs = [run for of_cell in loaded for run in of_cell]
    unequal.refuse_mismatched(runs)
    names = [plan.cell.name for plan in plans]
    everyone = [
        Run(run.counted, "log_probs", place, name=f"{name} run {run.provenance['run']}")
        for place, (name, of_cell) in enumerate(zip(names, loaded, strict=True))
        for run in of_cell
    ]
    _, num_examples, num_classes = runs[0].log_probs.shape
    # Of pairs within a cell, and of run r with run r of the old version: none else is shown.
    olds = _olds(plans)
    if olds:
        origins = {n: [r.provenance for r in rs] for n, rs in zip(names, loaded, strict=True)}
        unequal.refuse_unmatched(origins, versions=False)
    measured = measure(
        everyone,
        runs[0].labels,
        num_examples,
        num_classes,
        Wanted(scores=True),
        between=sorted((old, new) for new, old in olds.items()),
        matched=bool(olds),
    )
    subject = Subject(
        dataset=runs[0].provenance["dataset"],
        split=runs[0].provenance["split"],
        run_names=[run.name for run in everyone],
        origins=_origins(plans, runs),
        failed=[
            {**run, "group": plan.cell.name}
            for plan in plans
            for run in workdirs.failed_runs(plan.training.folder)
        ],
    )
    return Samples(measured, names, matched=bool(olds)), subject


def _olds(plans: Sequence[Plan]) -> dict[int, int]:
    """For each cell that is a new version of another the place of both, {new: old}."""
    places = {plan.cell.name: place for place, plan in enumerate(plans)}
    return {places[plan.cell.name]: places[plan.cell.old] for plan in plans if plan.cell.old}


def _origins(plans: Sequence[Plan], runs: Sequence[workdirs.Predictions]) -> list[Origin]:
    """What made the runs; without what the study itself makes differ: steps, versions of data."""
    by_design = len({plan.training.cell.length for plan in plans}) > 1
    left_out = {"step"} if by_design else set()
    if _olds(plans):
        left_out |= {"train_fingerprint", "step"}  # versions of a data set, and their sizes
    return [
        {key: value for key, value in run.provenance.items() if key not in left_out} for run in runs
    ]


def _predictions(plan: Plan, split: str) -> list[workdirs.Predictions]:
    folder = plan.folder if split == "test" else plan.folder / split
    steps = workdirs.prediction_steps(folder)
    runs = workdirs.load_step(folder, steps[-1], predict_workdir) if steps else []
    if len(runs) < 2:
        failed = [
            validity.failure(FailedRun(**run)) for run in workdirs.failed_runs(plan.training.folder)
        ]
        why = "; ".join(failed) or f"{folder} has no more predictions"
        raise UserError(f"cell {plan.cell.name}: {len(runs)} runs, at least 2 are needed: {why}")
    return runs


def _cell_group(group: Group, plan: Plan, gaps: np.ndarray) -> CellGroup:
    config, method = plan.config, plan.config.method
    fields = {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
    return CellGroup(
        **fields | {"measures": _without_pairs(group.measures)},
        method=method.label,
        folder=plan.training.folder.name,
        overrides=dict(plan.cell.overrides),
        model=config.model.name,
        epochs=config.epochs,
        settings=Settings(
            training_cost=config.training_cost * plan.training.cell.length,
            seconds=plan.training.seconds,
            thousand_predictions=plan.thousand_predictions,
            inference_cost=config.inference_cost,
            alpha=method.alpha if method.regularizer != "none" else None,
            beta=method.beta if method.agreement != "none" else None,
            temperature=method.temperature if method.taught else None,
        ),
        confidence_histogram=_histogram(gaps),
    )


def _without_pairs(measures: Measures) -> Measures:
    """45 pairs a measure and cell would make the file large; predictions have them."""
    return {
        key: dataclasses.replace(found, spread=dataclasses.replace(found.spread, per_pair=None))
        if found and found.spread
        else found
        for key, found in measures.items()
    }


def _drift(plan: Plan) -> Drift:
    """How far a cell's runs are from its first over training."""
    path = plan.folder / "metrics.jsonl"
    try:
        lines = [unsealed(json.loads(line)) for line in path.read_text().splitlines()]
        points = [line for line in lines if line["kind"] == "distance"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged: {error}") from None
    if not points:
        raise UserError(f"{path}: no distances; was the cell trained with config.log_distances?")
    steps = [point["step"] for point in points]
    differs = np.array([point["max_abs"][1:] for point in points]) != 0
    return Drift(
        cell=plan.cell.name,
        steps=tuple(steps),
        relative_l2=tuple(tuple(point["relative_l2"][1:]) for point in points),
        max_abs=tuple(tuple(point["max_abs"][1:]) for point in points),
        parted=tuple(steps[int(run.argmax())] if run.any() else None for run in differs.T),
    )


def _histogram(gaps: np.ndarray) -> ConfidenceHistogram:
    """Of γ [run, example]."""
    edges = np.linspace(0, 1, BINS + 1)
    shares = np.stack([np.histogram(run, edges)[0] / len(run) for run in gaps])
    bins = [intervals.interval(intervals.Sample(share, {}), 0, 1) for share in shares.T]
    return ConfidenceHistogram(
        edges=tuple(edges.tolist()),
        share=tuple(shares.mean(0).tolist()),
        ci95=tuple((found.low, found.high) for found in bins) if len(gaps) > 1 else None,
    )


def _shares(
    study: Study, samples: Samples, places: Mapping[str, int], olds: Mapping[int, int]
) -> tuple[Share, ...]:
    """What each row of a table leaves of a measure of what it is held against."""
    rows = {
        (row.cell, other, table.share_of)
        for table in study.tables
        for row in table.rows
        for other in row.against
        if other in places  # is finished
    }
    found = []
    for cell, reference, key in sorted(rows):
        own, other = (updates.sample(key, samples, places[c], olds) for c in (cell, reference))
        share = summaries.share_of(own, other, cell == reference)
        found.append(Share(cell, reference, share, None if key == "churn" else key))
    return tuple(found)


def _spreads(
    study: Study, samples: Samples, places: Mapping[str, int]
) -> tuple[AccuracySpread, ...]:
    """What makes the accuracy vary of the cells that the study asks for."""
    found = []
    for cell in study.spreads:
        correct = samples.measured.correct[samples.members(places[cell])]
        found.append(AccuracySpread(cell, **metrics.accuracy_variance(correct)._asdict()))
    return tuple(found)


def _pairs(study: Study) -> list[tuple[str, str]]:
    """What is compared: rows of a table with each other, points of a curve with its reference."""
    pairs: list[tuple[str, str]] = []
    for table in study.tables:
        cells = [row.cell for row in table.rows] if table.measures else []
        pairs += itertools.combinations(cells, 2)
    for figure in study.figures:
        if isinstance(figure, Sweep | Tradeoff):
            for points in figure.series.values():
                pairs += [(figure.reference, cell) for _, cell in points]
    unique = {frozenset(pair): pair for pair in pairs if pair[0] != pair[1]}
    return list(unique.values())


def _contrasted(study: Study) -> list[str]:
    """The measures that are compared: those of the tables, and what curves trade.

    The fewer there are, the less the correction for all of them takes away.
    """
    shown = {key for table in study.tables for key in table.measures}
    if any(isinstance(figure, Sweep | Tradeoff) for figure in study.figures):
        shown |= {"accuracy", "churn", "schurn"}
    return [key for key in CONTRASTED if key in shown]


def _validation(study: Study, plans: Sequence[Plan]) -> Report | None:
    """The candidates' measures on the validation split, where there is one."""
    names = [cell for selection in study.selections for _, cell in selection.points]
    names += [selection.reference for selection in study.selections]
    names += [plan.cell.old for plan in plans if plan.cell.name in names]
    candidates = [plan for plan in plans if plan.cell.name in names]
    if not candidates or not all(plan.config.data.num_validation for plan in candidates):
        return None
    samples, subject = _measured(candidates, "validation")
    found = building.without_breakdowns(samples, subject, [])
    return updates.added(found, samples, _olds(candidates), [], ())


def _select(
    selections: Sequence[Selection], source: Report | None, rule: str
) -> tuple[Choice, ...]:
    """Each method's choice by the churn of `source`; none where there is no such split."""
    if source is None:
        return ()
    chosen = []
    for selection in selections:
        churns = {point: _mean(source, point[1], selection.by) for point in selection.points}
        if selection.reference:
            least = _mean(source, selection.reference, "accuracy") - selection.slack
            accuracies = {point: _mean(source, point[1], "accuracy") for point in churns}
            # Where none keeps accuracy, what comes nearest to it.
            least = min(least, max(accuracies.values()))
            churns = {point: c for point, c in churns.items() if accuracies[point] >= least}
        value, cell = min(churns, key=churns.__getitem__)
        by = None if selection.by == "churn" else selection.by
        said = rule if by is None else f"{rule.split()[0]} {definition(by).title}"
        least_of_all = churns[value, cell]
        chosen.append(
            Choice(selection.method, selection.coefficient, said, value, cell, least_of_all, by)
        )
    return tuple(chosen)


def _mean(report: Report, cell: str, key: str) -> float:
    found = report.group(cell).measures[key]
    assert found is not None  # a cell has two runs at least
    return found.mean
