"""Comparing predictions as a library: one function, and its result.

The command `python -m churn_jax.compare` is a thin front-end of this.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from numpy.typing import ArrayLike

from churn_jax import details, gate, statements
from churn_jax import report as reports
from churn_jax.alignment import Aligned, align
from churn_jax.blocks import DISTANCES, EVERYTHING, Wanted
from churn_jax.errors import UserError
from churn_jax.judge import Judge
from churn_jax.measure import measure
from churn_jax.pictures import pictures
from churn_jax.readers import Kind, Source, read, read_labels
from churn_jax.readers.slices import read_slices
from churn_jax.readers.values import settle

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
      report: everything, as it is in report.json.
      verdicts: what became of each condition of the gate.
      provenance: what made the predictions, where their files say it.
    """

    report: dict[str, Any]
    verdicts: Sequence[gate.Verdict] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether no condition of the gate is true."""
        return not any(verdict.failed for verdict in self.verdicts)

    def verdict(self) -> str:
        """The gate's verdict in one line, or what changed where there is no gate."""
        return reports.verdict(self.report)

    def to_json(self) -> str:
        """report.json."""
        return reports.to_json(self.report)

    def to_html(self) -> str:
        """The self-contained page."""
        return reports.to_html(self.report, self._pictures())

    def to_markdown(self) -> str:
        """report.md."""
        return reports.to_markdown(self.report)

    def to_junit(self) -> str:
        """The gate's conditions as a JUnit file, one test case each."""
        return reports.to_junit(self.report)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat record for each measure: group, measure, mean, low, high, covers."""
        return reports.to_records(self.report)

    def to_pandas(self) -> Any:
        """`to_records` as a pandas DataFrame; needs pandas."""
        import pandas

        return pandas.DataFrame.from_records(self.to_records())

    def write(self, out: epath.PathLike) -> None:
        """Writes report.json, report.md, report.html and, with a gate, junit.xml into a folder."""
        reports.write(self.report, out, self._pictures())

    def _pictures(self) -> dict[str, str]:
        return pictures(self.provenance, [row["id"] for row in self.report["ledger"]])


def compare(
    groups: Mapping[str, Any],
    labels: ArrayLike | epath.PathLike | None = None,
    *,
    kind: Kind | None = None,
    alphas: Sequence[float] = EVERYTHING.alphas,
    everything: bool = True,
    slices: epath.PathLike | Mapping[str, ArrayLike] | None = None,
    fail_if: str | None = None,
    confident: bool = False,
) -> Comparison:
    """Compares the predictions of groups of runs: within each group and from group to group.

        compare({"old": probs_old, "new": probs_new}, labels, fail_if="churn>0.05")
        compare({"old": ["a/0.npz", "a/1.npz"], "new": ["b/0.npz", "b/1.npz"]})

    Args:
      groups: for each group's name its runs: a path or an array, or a list of them. Arrays are
        [example, class] values or [example] predicted classes, and are paired by position.
      labels: [example] true classes, or a file of them; else those inside the files.
      kind: what the values are: 'probs', 'log_probs', 'logits' or 'classes'; else the name of the
        array in the file says it, or it is detected and noted in the report.
      alphas: the α of SChurn_α.
      everything: whether to measure entropy, Brier score, distances of probabilities and classwise
        calibration too, which takes several times as long for many classes.
      slices: a .csv file, or for each way of slicing the slice of every example.
      fail_if: the gate's conditions; see `churn_jax.gate`.
      confident: whether the gate fails only where the interval leaves no doubt.

    Raises:
      UserError: files are damaged or do not belong together, or a condition cannot be decided.
    """
    sources = {name: _sources(name, runs, kind) for name, runs in groups.items()}
    if sum(len(runs) for runs in sources.values()) < 2:
        raise UserError("churn is between models: give at least 2 runs")
    aligned = align(sources, _label_source(labels))
    wanted = Wanted(alphas, everything, DISTANCES if everything else (), everything)
    judge = _judge(aligned, wanted)
    given = _slices(slices, aligned.ids)
    report = _report(aligned, judge, given)
    verdicts = gate.check(fail_if, judge, confident) if fail_if is not None else []
    report["gate"] = {"confident": confident, "conditions": [v.to_dict() for v in verdicts]}
    return Comparison(report, verdicts, aligned.provenance)


def _sources(name: str, runs: Any, kind: Kind | None) -> list[Source]:
    """The runs of a group, from paths or arrays."""
    if not isinstance(runs, list | tuple):
        runs = [runs]
    found: list[Source] = []
    for index, run in enumerate(runs):
        if isinstance(run, str | epath.Path) or hasattr(run, "__fspath__"):
            found += read(run, kind)
        else:
            values = np.asarray(run)
            found.append(settle(Source(f"{name}[{index}]", values), kind))
    if not found:
        raise UserError(f"the group {name!r} has no runs")
    return found


def _label_source(labels: ArrayLike | epath.PathLike | None) -> Source | None:
    if labels is None:
        return None
    if isinstance(labels, str | epath.Path) or hasattr(labels, "__fspath__"):
        return read_labels(labels)
    array = np.asarray(labels)
    if array.ndim != 1:
        raise UserError(f"labels must be [example], not {list(array.shape)}")
    return Source("labels", array, labels=array)


def _slices(
    slices: epath.PathLike | Mapping[str, ArrayLike] | None, ids: np.ndarray
) -> dict[str, np.ndarray]:
    if slices is None:
        return {}
    if not isinstance(slices, Mapping):
        return read_slices(slices, ids)
    given = {name: np.asarray(values).astype(np.str_) for name, values in slices.items()}
    for name, values in given.items():
        if values.shape != ids.shape:
            raise UserError(f"the slices {name!r} have shape {list(values.shape)}, not {len(ids)}")
    return given


def _judge(aligned: Aligned, wanted: Wanted) -> Judge:
    measured = measure(aligned.runs, aligned.labels, len(aligned.ids), aligned.num_classes, wanted)
    return Judge(measured, aligned.groups)


def _report(aligned: Aligned, judge: Judge, given: dict[str, np.ndarray]) -> dict[str, Any]:
    provenance = aligned.provenance
    report = {
        "schema": SCHEMA,
        "dataset": provenance.get("dataset", ""),
        "split": provenance.get("split", ""),
        "num_examples": len(aligned.ids),
        "num_classes": aligned.num_classes,
        "notes": aligned.notes,
    }
    report |= statements.judgement(judge)
    names = _short_names([run.name for run in aligned.runs])
    return report | details.all_details(judge, names, aligned.ids, aligned.class_names, given)


def _short_names(paths: Sequence[str]) -> list[str]:
    """Paths without the folder that they share."""
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, shared) if shared else path for path in paths]
