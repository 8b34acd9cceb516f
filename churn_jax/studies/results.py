"""What the finished cells of a study say: measures with intervals, contrasts, and choices."""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from churn_jax.analysis import intervals, summaries, validity
from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UserError
from churn_jax.predictions import workdirs
from churn_jax.predictions.run import Run
from churn_jax.studies.design import Divergence, Histogram, Selection, Study, Sweep, Tradeoff
from churn_jax.studies.planning import Plan
from churn_jax.training.inference import predict_workdir

SCHEMA = 1
BINS = 20  # of confidence histograms

Report = dict[str, Any]


def report(study: Study, plans: Sequence[Plan]) -> Report:
    """Everything that the study's tables and figures show, as JSON-ready data.

    Rates are fractions. `groups` has one entry a cell, as in the report of `churn_jax.evaluate`
    but for the values of single pairs; `contrasts` has the pairs of cells that share a table or a
    curve's reference.
    """
    shown = shown_cells(study)
    found = _describe([plan for plan in plans if plan.cell.name in shown], _pairs(study), "test")
    found |= {"study": study.name, "title": study.title}
    drifting = [cell for f in study.figures if isinstance(f, Divergence) for cell in f.cells]
    if drifting:
        found["divergence"] = [_drift(plan) for plan in plans if plan.cell.name in drifting]
    if study.selections:
        found["selections"] = _select(study.selections, found, _validation(study, plans))
    return found


def shown_cells(study: Study) -> list[str]:
    """The cells that tables and figures show: all but those that only teach."""
    names = [row.cell for table in study.tables for row in table.rows]
    for figure in study.figures:
        match figure:
            case Sweep() | Tradeoff():
                names += [figure.reference]
                names += [cell for points in figure.series.values() for _, cell in points]
            case Histogram():
                names += figure.cells.values()
            case Divergence():
                names += figure.cells
    names += [cell for selection in study.selections for _, cell in selection.points]
    return list(dict.fromkeys(names))


def group(report: Report, cell: str) -> dict[str, Any]:
    """The entry of a cell."""
    return next(entry for entry in report["groups"] if entry["name"] == cell)


def contrast(report: Report, a: str, b: str, measure: str) -> dict[str, Any] | None:
    """The contrast b − a of a measure, as it is or turned round; None if it wasn't made."""
    for entry in report["contrasts"]:
        if entry["metric"] == measure and {entry["a"], entry["b"]} == {a, b}:
            if entry["a"] == a:
                return entry
            low, high = entry["ci95"]
            turned = {"difference": -entry["difference"], "ci95": [-high, -low]}
            return entry | turned | {"a": a, "b": b}
    return None


def _describe(plans: Sequence[Plan], pairs: Iterable[tuple[str, str]], split: str) -> Report:
    if not plans:
        return {"schema": SCHEMA, "groups": [], "contrasts": [], "warnings": []}
    loaded = [_predictions(plan, split) for plan in plans]
    workdirs.refuse_mismatched([run for runs in loaded for run in runs])
    names = [plan.cell.name for plan in plans]
    failed = [
        {**run, "group": plan.cell.name}
        for plan in plans
        for run in workdirs.failed_runs(plan.folder)
    ]
    everyone = [
        Run(run.counted, "log_probs", place, name=f"{name} run {run.provenance['run']}")
        for place, (name, runs) in enumerate(zip(names, loaded, strict=True))
        for run in runs
    ]
    measured = measure(
        everyone,
        loaded[0][0].labels,
        loaded[0][0].log_probs.shape[1],
        loaded[0][0].log_probs.shape[2],
        Wanted(scores=True),
    )
    samples = Samples(measured, names)
    places = {name: place for place, name in enumerate(names)}
    provenance = loaded[0][0].provenance
    report = {
        "schema": SCHEMA,
        "dataset": provenance["dataset"],
        "split": provenance["split"],
        "num_examples": len(measured.predictions[0]),
        "made_by": {
            key: provenance[key] for key in ("code_version", "versions", "platform", "topology")
        },
        "groups": [
            _without_pairs(summaries.describe_group(samples, place))
            | _of_the_config(plan)
            | {"confidence_histogram": _histogram(measured.values["gap"][samples.members(place)])}
            for place, plan in enumerate(plans)
        ],
        "contrasts": summaries.contrasts(samples, [(places[a], places[b]) for a, b in pairs]),
    }
    made_by = [run.provenance for runs in loaded for run in runs]
    validity.add(report, samples, [run.name for run in everyone], made_by, failed)
    return report


def _predictions(plan: Plan, split: str) -> list[workdirs.Predictions]:
    folder = plan.folder if split == "test" else plan.folder / split
    steps = workdirs.prediction_steps(folder)
    runs = workdirs.load_step(folder, steps[-1], predict_workdir) if steps else []
    if len(runs) < 2:
        failed = [validity.failure(run) for run in workdirs.failed_runs(plan.folder)]
        why = "; ".join(failed) or f"{folder} has no more predictions"
        raise UserError(f"cell {plan.cell.name}: {len(runs)} runs, at least 2 are needed: {why}")
    return runs


def _without_pairs(entry: dict[str, Any]) -> dict[str, Any]:
    """45 pairs a measure and cell would make the file large; predictions have them."""
    for value in entry.values():
        if isinstance(value, dict):
            value.pop("per_pair", None)
    return entry


def _of_the_config(plan: Plan) -> dict[str, Any]:
    config, method = plan.config, plan.config.method
    return {
        "method": method.label,
        "folder": plan.folder.name,
        "overrides": dict(plan.cell.overrides),
        "model": config.model.name,
        "epochs": config.epochs,
        "settings": {
            "training_cost": method.training_cost,
            "inference_cost": method.inference_cost,
            "alpha": method.alpha if method.regularizer != "none" else None,
            "beta": method.beta if method.agreement != "none" else None,
            "temperature": method.temperature if method.taught else None,
        },
    }


def _drift(plan: Plan) -> dict[str, Any]:
    """How far a cell's runs are from its first over training.

    `steps` [point]; `relative_l2` and `max_abs` [point][run], the first run left out; `parted`: the
    first of the steps at which any weight differs, by run, None where none ever does.
    """
    path = plan.folder / "metrics.jsonl"
    lines = map(json.loads, path.read_text().splitlines())
    points = [line for line in lines if line["kind"] == "distance"]
    if not points:
        raise UserError(f"{path}: no distances; was the cell trained with config.log_distances?")
    steps = [point["step"] for point in points]
    largest = np.array([point["max_abs"][1:] for point in points])
    parted = [steps[int(a.argmax())] if a.any() else None for a in (largest != 0).T]
    return {
        "cell": plan.cell.name,
        "steps": steps,
        "relative_l2": [point["relative_l2"][1:] for point in points],
        "max_abs": largest.tolist(),
        "parted": parted,
    }


def _histogram(gaps: np.ndarray) -> dict[str, Any]:
    """How γ [run, example] is distributed: the share of examples in each bin, mean and interval."""
    edges = np.linspace(0, 1, BINS + 1)
    shares = np.stack([np.histogram(run, edges)[0] / len(run) for run in gaps])
    bins = [intervals.interval(intervals.Sample(share, {}), 0, 1) for share in shares.T]
    return {
        "edges": edges.tolist(),
        "share": shares.mean(0).tolist(),
        "ci95": [found.ci95 for found in bins] if len(gaps) > 1 else None,
    }


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


def _validation(study: Study, plans: Sequence[Plan]) -> Report | None:
    """The candidates' measures on the validation split, where there is one."""
    names = [cell for selection in study.selections for _, cell in selection.points]
    candidates = [plan for plan in plans if plan.cell.name in names]
    if not all(plan.config.data.num_validation for plan in candidates):
        return None
    return _describe(candidates, [], "validation")


def _select(
    selections: Sequence[Selection], test: Report, validation: Report | None
) -> list[dict[str, Any]]:
    """Each method's choice by test churn, as the paper chose, and by validation churn."""
    rules = {"test churn, as the paper": test}
    if validation:
        rules["validation churn"] = validation
    chosen = []
    for selection in selections:
        for rule, source in rules.items():
            churns = {point: group(source, point[1])["churn"]["mean"] for point in selection.points}
            value, cell = min(churns, key=churns.__getitem__)
            chosen.append(
                {
                    "method": selection.method,
                    "coefficient": selection.coefficient,
                    "rule": rule,
                    "value": value,
                    "cell": cell,
                    "churn_it_was_chosen_by": churns[value, cell],
                }
            )
    return chosen
