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
from churn_jax.analysis import asked as asked_for
from churn_jax.analysis import building, gate, inputs, slicing
from churn_jax.analysis.asked import Asked, Known
from churn_jax.analysis.blocks import EVERYTHING, Wanted, of_report
from churn_jax.analysis.building import Subject
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.analysis.slicing import Partition
from churn_jax.errors import UsageError, UserError, printable
from churn_jax.predictions import unequal
from churn_jax.predictions.alignment import Aligned, align
from churn_jax.predictions.readers import Kind, ReadOptions, Source
from churn_jax.predictions.threshold import decided, of_labels
from churn_jax.report.gate import Gate, Outcome, Verdict
from churn_jax.report.junit import Timing
from churn_jax.report.report import Report
from churn_jax.report.thumbnails import pictures


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
      report: everything; `report["between"][0]["churn"]["mean"]` reads it as report.json has it.
      provenance: what made the predictions, where their files say it.
      timing: of the comparison.
      texts: what the examples say whose prediction changes, by id, where the files say it.
    """

    report: Report
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    timing: Timing | None = None
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)

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
        return reports.to_html(self.report, self._pictures(), self.texts)

    def to_markdown(self) -> str:
        """report.md."""
        return reports.to_markdown(self.report)

    def to_junit(self) -> str:
        """The gate's conditions as a JUnit file, one test case each."""
        return reports.to_junit(self.report, self.timing)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat record for each measure of a group or change, and for each contrast.

        Its keys: `table` ('group', 'change' or 'contrast'), `of`, `measure`, `mean`, `std`, `low`,
        `high`, `covers`, for contrasts `p` and `p_holm`, for groups `runs`, and `unit`.
        """
        return reports.to_records(self.report)

    def to_csv(self) -> str:
        """report.csv: `to_records` as a table, in full digits; what isn't known is empty."""
        return reports.to_csv(self.report)

    def to_latex(self) -> str:
        """report.tex: the tables of groups and changes, to be included in a LaTeX document."""
        return reports.to_latex(self.report)

    def _repr_html_(self) -> str:
        """The verdict, the tables and the sentences, as notebooks show them."""
        return reports.to_fragment(self.report)

    def to_pandas(self) -> Any:
        """`to_records` as a pandas DataFrame; needs pandas."""
        import pandas

        return pandas.DataFrame.from_records(self.to_records())

    def write(
        self, out: epath.PathLike, figures: bool = False, making: reports.Making | None = None
    ) -> None:
        """Writes report.json, .md, .html, .csv, .tex and, with a gate, junit.xml into a folder.

        With `figures` every figure of the page is in its folder `figures`, too, as SVG and PDF;
        `making` is what the page's foot says of how it was made.
        """
        shown = self._pictures()
        reports.write(self.report, out, shown, self.timing, figures, self.texts, making)

    def _pictures(self) -> dict[str, str]:
        return pictures(self.provenance, reports.shown_ids(self.report))


def compare(
    *models: Any,
    labels: ArrayLike | epath.PathLike | None = None,
    weights: ArrayLike | epath.PathLike | Mapping[str, ArrayLike] | None = None,
    kind: Kind | None = None,
    id: str | None = None,
    label: str | None = None,
    prediction: str | None = None,
    columns: Sequence[str] = (),
    missing: Literal["refuse", "drop"] = "refuse",
    on: Literal["all", "common"] = "all",
    alphas: Sequence[float] | None = None,
    everything: bool = True,
    measures: Sequence[str] = (),
    slices: epath.PathLike | Mapping[str, ArrayLike] | None = None,
    fail_if: str | None = None,
    pass_if: str | None = None,
    confident: bool = False,
    pass_undecided: bool = False,
    paired: bool = False,
    score: str | None = None,
    filter: str | None = None,
    positive: str | None = None,
    threshold: float | None = None,
) -> Comparison:
    """Compares the predictions of groups of runs: within each group and from group to group.

        compare("old.npz", "new.npz", fail_if="churn>5%")
        compare(probs_old, probs_new, labels=labels)
        compare({"old": ["a/0.npz", "a/1.npz"], "new": ["b/0.npz", "b/1.npz"]})

    Args:
      models: two or more, the old first: each a path, an array, a dictionary of arrays, a data
        frame, or a list of these as its runs. Or one dictionary: for each name its runs (labels may
        follow it). Arrays are [example, class] values or [example] predicted classes, and are
        paired by position; dictionaries and frames have what files have, under the same names:
        `probs`, `labels`, `ids`, `class_names`, or a column for each class.
      labels: [example] true classes, or a file of them; else those inside the files.
      weights: what each example counts: the name of a column of the files, a file, or [example]
        numbers; those of 0 are left out, and a constant factor changes nothing. Every figure is
        then of the weighted examples, as an estimate from a sample that was drawn unequally.
      kind: what the values are: 'probs', 'log_probs', 'logits' or 'classes', or 'multilabel' where
        each column is a label that is there or not, and an example's class the set of them; else
        the name of the array in the file says it, or it is detected and noted in the report.
      id: the column or array with the ids, where its name doesn't say it.
      label: the one with the true classes.
      prediction: the one with the predicted classes.
      columns: those with the classes' values; what else a table has is left out then.
      missing: what becomes of an example that lacks a value in some file: 'refuse' or 'drop'.
      on: 'common' compares the examples that all files have, 'all' refuses files of different ones.
      alphas: the α of SChurn_α; None for those of every report, where there are probabilities.
      everything: whether to measure entropy, Brier score, distances of probabilities and classwise
        calibration too, which takes several times as long for many classes.
      measures: what no report has unless asked, such as 'auc', 'recall[cat]', 'f1', 'top5_churn';
        see `churn_jax.metrics.asked`. A gate asks for what its conditions name.
      slices: a .csv file, or for each way of slicing the slice of every example.
      fail_if: conditions of which none may be true; see `churn_jax.analysis.gate`.
      pass_if: conditions that the 95 % interval must show.
      confident: whether one of `fail_if` counts only where the interval leaves no doubt.
      pass_undecided: whether the gate passes where it can't be decided.
      paired: whether run r of each group belongs to run r of the first, as an update to the model
        that it updates: then only these are compared.
      score: of a language model's answers, which of several scores says whether one is right.
      filter: which of several filters' answers count.
      positive: the positive one of two classes, where their names don't say it.
      threshold: the probability from which on the positive one of two classes is predicted, instead
        of the more probable one; of several labels, from which on each is there, instead of 0.5.

    Raises:
      UserError: files are damaged or do not belong together, or a condition can't be read.
    """
    timing = Timing.begin()
    _refuse_without_gate(fail_if, pass_if, confident, pass_undecided)
    groups, labels = inputs.groups_and_labels(models, labels)
    options = ReadOptions(
        kind=kind,
        id=id,
        label=label,
        prediction=prediction,
        columns=tuple(columns),
        missing=missing,
        score=score,
        filter=filter,
    )
    if kind == "multilabel" and threshold is not None:
        options = dataclasses.replace(options, threshold=of_labels(threshold))
    column, apart = inputs.weights_of(weights, options)
    options = dataclasses.replace(options, weight=column)
    aligned = _aligned(groups, labels, apart, options, on, sliced=slices is not None)
    if threshold is not None and kind != "multilabel":
        aligned = decided(aligned, threshold, positive)
    if paired:
        unequal.refuse_unmatched(aligned.origins_by_group())
    keys = {"--measures": measures} | gate.asked_for(fail_if, pass_if)
    asked, of_class = _asked(aligned, keys, positive)
    _refuse_alphas_of_classes(aligned, alphas)
    wanted = of_report(everything, EVERYTHING.alphas if alphas is None else alphas)
    changes = building.changes(len(aligned.groups))
    most = slicing.most_slices(len(aligned.groups), len(changes))
    partitions, notes = slicing.given(inputs.slices_of(slices, aligned, id), most)
    if aligned.label_sets is not None:
        partitions += _by_label(aligned)
        notes.append(_OF_SETS)
    samples = _samples(aligned, wanted, changes, paired, asked)
    notes += [*([building.PAIRED] if paired else []), *of_class]
    failed = inputs.failed_runs(groups)
    by_threshold = threshold is not None or aligned.label_sets is not None
    subject = _subject(aligned, notes, failed, by_threshold, _called(column, apart))
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
    return Comparison(gated, aligned.provenance, timing, _texts(aligned, gated))


def _refuse_without_gate(
    fail_if: str | None, pass_if: str | None, confident: bool, pass_undecided: bool
) -> None:
    """Raises UsageError for what is said of conditions that there are none of."""
    if confident and fail_if is None:
        own = ", and those of --pass_if are held to it anyway" if pass_if is not None else ""
        raise UsageError(f"--confident: is of the conditions of --fail_if; there are none{own}")
    if pass_undecided and fail_if is None and pass_if is None:
        raise UsageError(
            "--undecided=pass: is of a gate; there is none: give it --fail_if or --pass_if"
        )


def _refuse_alphas_of_classes(aligned: Aligned, alphas: Sequence[float] | None) -> None:
    """Raises UsageError where SChurn is asked for that can't be had."""
    classes = next((run.name for run in aligned.runs if run.kind == "classes"), None)
    if alphas is not None and classes is not None:
        raise UsageError(f"--alphas: SChurn is of probabilities, and {classes} has none")


def _texts(aligned: Aligned, report: Report) -> dict[str, str]:
    """What the examples say that the page's ledger has."""
    assert report.breakdowns is not None
    assert report.breakdowns.flips is not None
    if aligned.texts is None:
        return {}
    shown = set(report.breakdowns.flips.rows.ids)
    pairs = zip(map(printable, map(str, aligned.ids.tolist())), aligned.texts.tolist(), strict=True)
    return {id: str(text) for id, text in pairs if id in shown and text is not None}


def _aligned(
    groups: Mapping[str, Any],
    labels: Any,
    weights: Source | None,
    options: ReadOptions,
    on: Literal["all", "common"],
    sliced: bool,
) -> Aligned:
    """All runs' predictions, labels and weights, read by `options` and joined by example."""
    sources = {name: inputs.sources(name, runs, options) for name, runs in groups.items()}
    if sum(len(runs) for runs in sources.values()) < 2:
        raise UserError("churn is between models: give at least 2 runs")
    inputs.refuse_mixtures(sources)
    true = inputs.labels_of(labels, options)
    read = [source for runs in sources.values() for source in runs]
    read += [each for each in (true, weights) if each is not None]
    inputs.refuse_unheeded(options, read, by_id=sliced)
    return align(sources, true, weights, on)


_OF_SETS = (
    "Several labels an example: its class is the set of them. Churn is that of sets, accuracy that "
    "of whole sets; label by label there are Hamming churn and Hamming loss."
)
_MOST_LABELS = 100  # that are slices


def _by_label(aligned: Aligned) -> list[Partition]:
    """For each of the labels the examples that have it, as a slice."""
    sets, labels = aligned.label_sets, aligned.labels
    if sets is None or labels is None or len(sets.names) > _MOST_LABELS:
        return []
    has = sets.has[labels]
    return [
        slicing.by_label(name, has[:, place])
        for place, name in enumerate(sets.names)
        if has[:, place].any()
    ]


def _parts(aligned: Aligned, partitions: Sequence[Partition]) -> dict[str, np.ndarray]:
    """Every way of slicing, the true classes among them."""
    given = {by.by: by.of_examples(len(aligned.ids)) for by in partitions}
    if aligned.labels is None:
        return given
    if slicing.BY_CLASS in given:
        raise UserError("--slices: a column called 'class', as the true classes are; rename it")
    return {slicing.BY_CLASS: np.array(aligned.class_names)[aligned.labels], **given}


def _asked(
    aligned: Aligned, keys: Mapping[str, Sequence[str]], positive: str | None
) -> tuple[list[Asked], list[str]]:
    """The measures that were asked for by each option, and what to say of them."""
    probs = all(run.kind != "classes" for run in aligned.runs)
    of_sets = aligned.label_sets is not None
    known = Known(aligned.class_names, aligned.labels is not None, probs, positive, of_sets)
    found = known.resolve(keys)
    return found, asked_for.notes(found, aligned.class_names)


def _samples(
    aligned: Aligned,
    wanted: Wanted,
    changes: Sequence[tuple[int, int]],
    paired: bool,
    asked: Sequence[Asked],
) -> Samples:
    size = (len(aligned.ids), aligned.num_classes)
    wanted = asked_for.wanted(asked, aligned.num_classes, wanted)
    measured = measure(
        aligned.runs, aligned.labels, *size, wanted, changes, paired, aligned.weights
    )
    if aligned.label_sets is not None:
        measured = dataclasses.replace(measured, sets=aligned.label_sets.has)
    return Samples(measured, aligned.groups, paired, asked)


def _subject(
    aligned: Aligned,
    notes: Sequence[str],
    failed: Sequence[Mapping[str, Any]],
    by_threshold: bool,
    weights: str,
) -> Subject:
    return Subject(
        dataset=aligned.provenance.get("dataset", ""),
        split=aligned.provenance.get("split", ""),
        run_names=_short_names([run.name for run in aligned.runs]),
        origins=aligned.origins,
        notes=[*aligned.notes, *notes],
        failed=failed,
        open_ended=aligned.open_ended,
        by_threshold=by_threshold,
        weights=weights,
    )


def _called(column: str | None, apart: Source | None) -> str:
    """What weights are called: after their column or file."""
    return apart.name if apart else f"the column {column!r}" if column else ""


def _short_names(paths: Sequence[str]) -> list[str]:
    """Paths without the folder that they share; as they are where only some are absolute."""
    if len({os.path.isabs(path) for path in paths}) > 1:
        return list(paths)
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, shared) if shared else path for path in paths]
