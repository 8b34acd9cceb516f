"""Comparing predictions as a library: one function, and its result.

The command `python -m churn_jax.compare` is a thin front-end of this.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from etils import epath
from numpy.typing import ArrayLike

from churn_jax import report as reports
from churn_jax.analysis import building, gate, slicing
from churn_jax.analysis.blocks import DISTANCES, EVERYTHING, Wanted
from churn_jax.analysis.building import Subject
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.analysis.slicing import Partition
from churn_jax.errors import UserError
from churn_jax.predictions import origins, workdirs
from churn_jax.predictions.alignment import Aligned, align
from churn_jax.predictions.readers import (
    Kind,
    ReadOptions,
    Source,
    label_source,
    read,
    read_array,
    read_columns,
    read_labels,
)
from churn_jax.predictions.readers.slices import read_slices
from churn_jax.predictions.readers.source import Raw
from churn_jax.report.gate import Gate, Outcome, Verdict
from churn_jax.report.junit import Timing
from churn_jax.report.report import Report
from churn_jax.report.thumbnails import pictures
from churn_jax.storage.files import reach


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
      report: everything; `report["between"][0]["churn"]["mean"]` reads it as report.json has it.
      provenance: what made the predictions, where their files say it.
      timing: of the comparison.
    """

    report: Report
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    timing: Timing | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What became of each condition of the gate."""
        return self.report.gate.conditions if self.report.gate else ()

    @property
    def passed(self) -> bool:
        """Whether the gate lets the new one pass; also where there is no gate."""
        return self.outcome == "passed"

    @property
    def outcome(self) -> Outcome:
        """'passed', 'failed', or 'undecided' where there is no result to test the gate by."""
        return self.report.gate.outcome if self.report.gate else "passed"

    def verdict(self) -> str:
        """The gate's verdict in one line, or what changed where there is no gate."""
        return reports.verdict(self.report)

    def to_json(self) -> str:
        """report.json."""
        return self.report.to_json()

    def to_html(self) -> str:
        """The self-contained page."""
        return reports.to_html(self.report, self._pictures())

    def to_markdown(self) -> str:
        """report.md."""
        return reports.to_markdown(self.report)

    def to_junit(self) -> str:
        """The gate's conditions as a JUnit file, one test case each."""
        return reports.to_junit(self.report, self.timing)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat record for each measure: group, measure, mean, low, high, covers."""
        return reports.to_records(self.report)

    def to_pandas(self) -> Any:
        """`to_records` as a pandas DataFrame; needs pandas."""
        import pandas

        return pandas.DataFrame.from_records(self.to_records())

    def write(self, out: epath.PathLike) -> None:
        """Writes report.json, report.md, report.html and, with a gate, junit.xml into a folder."""
        reports.write(self.report, out, self._pictures(), self.timing)

    def _pictures(self) -> dict[str, str]:
        assert self.report.breakdowns is not None
        return pictures(self.provenance, [flip.id for flip in self.report.breakdowns.ledger])


def compare(
    groups: Mapping[str, Any],
    labels: ArrayLike | epath.PathLike | None = None,
    *,
    kind: Kind | None = None,
    id: str | None = None,
    label: str | None = None,
    prediction: str | None = None,
    columns: Sequence[str] = (),
    missing: Literal["refuse", "drop"] = "refuse",
    on: Literal["all", "common"] = "all",
    alphas: Sequence[float] = EVERYTHING.alphas,
    everything: bool = True,
    slices: epath.PathLike | Mapping[str, ArrayLike] | None = None,
    fail_if: str | None = None,
    pass_if: str | None = None,
    confident: bool = False,
    pass_undecided: bool = False,
) -> Comparison:
    """Compares the predictions of groups of runs: within each group and from group to group.

        compare({"old": probs_old, "new": probs_new}, labels, fail_if="churn>0.05")
        compare({"old": ["a/0.npz", "a/1.npz"], "new": ["b/0.npz", "b/1.npz"]})

    Args:
      groups: for each group's name its runs: a path, an array, a dictionary of arrays, a data
        frame, or a list of them. Arrays are [example, class] values or [example] predicted classes,
        and are paired by position; dictionaries and frames have what files have, under its names.
      labels: [example] true classes, or a file of them; else those inside the files.
      kind: what the values are: 'probs', 'log_probs', 'logits' or 'classes'; else the name of the
        array in the file says it, or it is detected and noted in the report.
      id, label, prediction: the column or array with the ids, the true and the predicted classes,
        where its name doesn't say it.
      columns: those with the classes' values; what else a table has is left out then.
      missing: what becomes of an example that lacks a value in some file: 'refuse' or 'drop'.
      on: 'common' compares the examples that all files have, 'all' refuses files of different ones.
      alphas: the α of SChurn_α.
      everything: whether to measure entropy, Brier score, distances of probabilities and classwise
        calibration too, which takes several times as long for many classes.
      slices: a .csv file, or for each way of slicing the slice of every example.
      fail_if: conditions of which none may be true; see `churn_jax.analysis.gate`.
      pass_if: conditions that the 95 % interval must show.
      confident: whether one of `fail_if` counts only where the interval leaves no doubt.
      pass_undecided: whether the gate passes where it can't be decided.

    Raises:
      UserError: files are damaged or do not belong together, or a condition can't be read.
    """
    timing = Timing.begin()
    options = ReadOptions(kind, id, label, prediction, tuple(columns), missing)
    sources = {name: _sources(name, runs, options) for name, runs in groups.items()}
    if sum(len(runs) for runs in sources.values()) < 2:
        raise UserError("churn is between models: give at least 2 runs")
    _refuse_mixtures(sources)
    aligned = align(sources, _label_source(labels, options), on)
    wanted = Wanted(alphas, everything, DISTANCES if everything else (), everything)
    changes = building.changes(len(aligned.groups))
    most = slicing.most_slices(len(aligned.groups), len(changes))
    partitions, notes = slicing.given(_slices(slices, aligned.ids, id), most)
    samples = _samples(aligned, wanted, changes)
    subject = _subject(aligned, notes, _failed(groups))
    report = building.report(samples, subject, aligned.ids, aligned.class_names, partitions)
    verdicts = gate.check(
        samples,
        fail_if,
        pass_if,
        confident=confident,
        parts=_parts(aligned, partitions),
        no_result=next((group.fault for group in report.groups if group.fault), None),
    )
    gated = dataclasses.replace(report, gate=Gate(confident, tuple(verdicts), pass_undecided))
    return Comparison(gated, aligned.provenance, timing)


def _sources(name: str, runs: Any, options: ReadOptions) -> list[Source]:
    """The runs of a group, from paths, arrays, dictionaries or data frames."""
    found: list[Source] = []
    for index, run in enumerate(_listed(runs)):
        title = f"{name}[{index}]"
        if _is_path(run):
            found += read(run, options)
        elif isinstance(run, Mapping):
            found.append(read_columns(title, run, options))
        elif hasattr(run, "columns"):
            table = {str(column): np.asarray(run[column]) for column in run.columns}
            found.append(read_columns(title, table, options, table=True))
        else:
            found.append(read_array(title, run, options))
    if not found:
        raise UserError(f"the group {name!r} has no runs")
    return found


def _refuse_mixtures(groups: Mapping[str, Sequence[Source]]) -> None:
    """Raises UserError where our own files do not belong together, as far as they say so."""
    first: Source | None = None
    for sources in groups.values():
        seen: dict[Any, str] = {}
        for source in sources:
            if not source.provenance:
                continue
            first = first or source
            for key in ("dataset", "split", "data_fingerprint"):
                ours, theirs = first.provenance[key], source.provenance[key]  # type: ignore[index]
                if ours != theirs:
                    raise UserError(
                        f"{first.name} and {source.name} differ in {key}: {ours!r} and {theirs!r}"
                    )
            own = origins.identity(source.provenance)
            if own in seen:
                raise UserError(
                    f"{seen[own]} and {source.name} are one training (same config, seed and run "
                    f"{source.provenance['run']}), which a group cannot count twice"
                )
            seen[own] = source.name


def _failed(groups: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs that trainings gave up, of all run folders."""
    paths = [(name, p) for name, runs in groups.items() for p in _listed(runs) if _is_path(p)]
    return [
        {**run, "group": name}
        for name, path in paths
        if epath.Path(path).is_dir()
        for run in workdirs.failed_runs(path)
    ]


def _listed(runs: Any) -> Sequence[Any]:
    return runs if isinstance(runs, list | tuple) else [runs]


def _is_path(value: Any) -> bool:
    return isinstance(value, str | epath.Path) or hasattr(value, "__fspath__")


def _label_source(labels: ArrayLike | epath.PathLike | None, options: ReadOptions) -> Source | None:
    if labels is None:
        return None
    if _is_path(labels):
        return read_labels(labels, options)  # type: ignore[arg-type]
    return label_source(Raw("labels", None, labels=np.asarray(labels)), options)


def _slices(
    slices: epath.PathLike | Mapping[str, ArrayLike] | None, ids: np.ndarray, id_column: str | None
) -> dict[str, np.ndarray]:
    if slices is None:
        return {}
    if not isinstance(slices, Mapping):
        return read_slices(reach(slices, "--slices"), ids, id_column)
    given = {name: np.asarray(values).astype(np.str_) for name, values in slices.items()}
    for name, values in given.items():
        if values.shape != ids.shape:
            raise UserError(f"the slices {name!r} have shape {list(values.shape)}, not {len(ids)}")
    return given


def _parts(aligned: Aligned, partitions: Sequence[Partition]) -> dict[str, np.ndarray]:
    """Every way of slicing, the true classes among them."""
    given = {by.by: by.of_examples(len(aligned.ids)) for by in partitions}
    if aligned.labels is None:
        return given
    if slicing.BY_CLASS in given:
        raise UserError("--slices: a column called 'class', as the true classes are; rename it")
    return {slicing.BY_CLASS: np.array(aligned.class_names)[aligned.labels], **given}


def _samples(aligned: Aligned, wanted: Wanted, changes: Sequence[tuple[int, int]]) -> Samples:
    measured = measure(
        aligned.runs, aligned.labels, len(aligned.ids), aligned.num_classes, wanted, changes
    )
    return Samples(measured, aligned.groups)


def _subject(
    aligned: Aligned, notes: Sequence[str], failed: Sequence[Mapping[str, Any]]
) -> Subject:
    return Subject(
        dataset=aligned.provenance.get("dataset", ""),
        split=aligned.provenance.get("split", ""),
        run_names=_short_names([run.name for run in aligned.runs]),
        origins=aligned.origins,
        notes=[*aligned.notes, *notes],
        failed=failed,
    )


def _short_names(paths: Sequence[str]) -> list[str]:
    """Paths without the folder that they share; as they are where only some are absolute."""
    if len({os.path.isabs(path) for path in paths}) > 1:
        return list(paths)
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, shared) if shared else path for path in paths]
