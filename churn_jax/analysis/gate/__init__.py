"""The gate: conditions on measures under which a new model may, or may not, replace the old one.

    --fail_if='churn>5%, nfr>1%, ece_new>ece_old+0.01, nfr[region=eu]>2%'
    --pass_if='churn<5%, accuracy_new>accuracy_old-0.5%'

Each condition compares two sums of measures and numbers. One of --fail_if that is true fails the
gate; one of --pass_if fails it unless the 95 % interval shows it. A measure of pairs alone
(`churn`) is that of the change from the first group to the last; with the name of a group behind
it (`churn_old`, `accuracy_new`) it is the group's own. `old` and `new` are the first and the last
group. `[COLUMN=NAME]` takes it on a slice, `[COLUMN=*]` and `[*]` on every slice; the class of
`recall_new[CLASS]` stands before that. What cannot be decided (no result, too few examples, not a
number) is neither passed nor failed.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from churn_jax.analysis.gate import claims, expressions, names, wording
from churn_jax.analysis.gate.claims import Claim
from churn_jax.analysis.gate.evaluation import Evaluation, evaluate, outcome
from churn_jax.analysis.gate.expressions import Slice
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UsageError, suggest
from churn_jax.metrics import asked
from churn_jax.report.gate import Outcome, Verdict

__all__ = ["asked_for", "check"]


def asked_for(fail_if: str | None, pass_if: str | None) -> dict[str, list[str]]:
    """The measures that conditions name and not every report has, by the option that names them.

    Raises:
      UsageError: a condition cannot be read.
    """
    found: dict[str, list[str]] = {}
    for option, text in (("--fail_if", fail_if), ("--pass_if", pass_if)):
        for condition in expressions.parse(text, option) if text is not None else ():
            for reference in expressions.references(condition):
                if family := asked.begins(reference.name):
                    of_class = reference.key.removeprefix(reference.name)
                    found.setdefault(option, []).append(family + of_class)
    return found


def check(
    samples: Samples,
    fail_if: str | None = None,
    pass_if: str | None = None,
    *,
    confident: bool = False,
    parts: Mapping[str, np.ndarray] | None = None,
    no_result: str | None = None,
) -> list[Verdict]:
    """Tests every condition.

    Args:
      samples: what the measures are of.
      fail_if: conditions of which none may be true, separated by commas.
      pass_if: conditions that the 95 % interval must show.
      confident: a condition of `fail_if` counts only if the interval leaves no doubt that it is
        true, so that noise does not stop a release; else the estimate decides.
      parts: for each way of slicing the slice of every example, [example] of str.
      no_result: why nothing may pass, or None.

    Raises:
      UsageError: a condition cannot be read, or names what is not measured.
    """
    checks = [
        _Check(claim, samples, parts or {}, confident, no_result)
        for option, text in (("--fail_if", fail_if), ("--pass_if", pass_if))
        if text is not None
        for claim in _claims(text, option, samples)
    ]
    return [found.verdict() for found in checks]


def _claims(text: str, option: str, samples: Samples) -> list[Claim]:
    def resolve(name: str) -> names.Measure:
        return names.resolve(name, samples, option)

    return [
        claims.claim(condition, option == "--pass_if", resolve)
        for condition in expressions.parse(text, option)
    ]


@dataclasses.dataclass(frozen=True)
class _Check:
    claim: Claim
    samples: Samples
    parts: Mapping[str, np.ndarray]
    confident: bool
    no_result: str | None

    def verdict(self) -> Verdict:
        part = self.claim.part
        if part is None:
            return self._of_one(self.samples, None)
        chosen = list(self._chosen(part))
        if part.every:
            return self._of_every(chosen)
        ((name, rows),) = chosen
        return self._of_one(self._take(rows), name)

    def _of_one(self, samples: Samples, part: str | None) -> Verdict:
        found = evaluate(self.claim, samples)
        result, why = outcome(self.claim, found, self.confident, self.no_result)
        place = f" in {part}" if part else ""
        text = wording.sentence(self.claim, found, result, why, place)
        return self._verdict(found, result, text, part, why)

    def _of_every(self, chosen: list[tuple[str, np.ndarray]]) -> Verdict:
        """Broken if any slice breaks it; slices too small to tell are said, and decide nothing."""
        by_outcome: dict[Outcome, list[tuple[str, Evaluation]]] = {
            "failed": [], "passed": [], "undecided": [],
        }  # fmt: skip
        for name, rows in chosen:
            found = evaluate(self.claim, self._take(rows))
            result, _ = outcome(self.claim, found, self.confident, None)
            if result == "failed" and self._by_chance(found):
                result = "undecided"
            by_outcome[result].append((name, found))
        for entries in by_outcome.values():
            entries.sort(key=lambda entry: entry[1].margin)
        broken, kept, open_ = by_outcome["failed"], by_outcome["passed"], by_outcome["undecided"]
        text = wording.over_slices(self.claim, broken, kept, open_)
        name, worst = (broken or kept or open_)[0]
        if broken:
            return self._verdict(worst, "failed", text, name)
        if self.no_result:
            text += f"; undecided, because {self.no_result}"
            return self._verdict(worst, "undecided", text, name, self.no_result)
        if kept:
            return self._verdict(worst, "passed", text, name)
        return self._verdict(worst, "undecided", text, name, "too few examples")

    def _by_chance(self, found: Evaluation) -> bool:
        """Whether a slice is so small that one example alone breaks the claim, and no more is sure.

        Of a hundred such slices some would always be over the limit.
        """
        few = found.num_trials < claims.least_examples(self.claim)
        return few and not self.claim.must_be_shown and not found.high < 0

    def _verdict(
        self, found: Evaluation, result: Outcome, sentence: str, part: str | None, why: str = ""
    ) -> Verdict:
        condition = self.claim.condition
        sides = (found.subject, found.limit)
        left, right = sides if condition.left.terms else sides[::-1]
        return Verdict(
            condition=condition.text,
            failed=result == "failed",
            left=left,
            right=right,
            margin=found.margin,
            ci95=(found.low, found.high),
            certain=found.certain,
            covers=found.covers,
            undecided=why if result == "undecided" else None,
            sentence=sentence,
            option=condition.option.removeprefix("--"),
            part=part,
        )

    def _chosen(self, part: Slice) -> Iterator[tuple[str, np.ndarray]]:
        """(name, rows) of each slice that is meant."""
        option = self.claim.condition.option
        if part.by is not None and part.by not in self.parts:
            ways = suggest(part.by, self.parts) if self.parts else "; give --slices"
            raise UsageError(f"{option}: there are no slices by {part.by!r}{ways}")
        if not self.parts:
            raise UsageError(f"{option}: there are no slices: give --slices, or labels")
        for by in self.parts if part.by is None else (part.by,):
            names_ = self.parts[by]
            known = [str(name) for name in np.unique(names_) if name]
            if part.name is not None and part.name not in known:
                near = suggest(part.name, known)
                raise UsageError(f"{option}: no example is in the slice {by}={part.name}{near}")
            for name in known if part.every else (part.name,):
                yield f"{by}={name}", names_ == name

    def _take(self, rows: np.ndarray) -> Samples:
        return dataclasses.replace(self.samples, measured=self.samples.measured.take(rows))
