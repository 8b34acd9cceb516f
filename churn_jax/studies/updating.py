"""The study of an update: every method as version 2 of a model, for given versions of its data.

A study file says what the two versions of each data set are (`Versions`); all else is the same:
run r of version 2 is held against run r of version 1, strengths are chosen on a validation split
by a rule that keeps accuracy, and the table is of the test split.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from churn_jax.errors import UserError, suggest
from churn_jax.studies.design import (
    Cell,
    Options,
    Row,
    Selection,
    Study,
    Table,
    Tradeoff,
    counted_as,
)

Changes = Mapping[str, Any]  # {dotted config key: value}
NONE: Changes = {}

SLACK = 0.003  # of validation accuracy
WEIGHTS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)  # γ where it is taken from the loss
INHIBITIONS = (0.01, 0.03, 0.1, 0.3, 0.5, 0.7)
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)
MEMBERS = 4  # of ensembles, and to choose from
MEASURES = (
    *("accuracy", "churn_to_old", "negative_flip_rate", "positive_flip_rate"),
    *("relative_nfr", "backward_trust", "excess_churn"),
)
ENSEMBLE = {"method.members": MEMBERS}
WARM = {"previous.start_keep": 1.0, "previous.start_fresh": 0.0}
SHRINK = {"previous.start_fresh": 0.1}
# What the study of stability found best for one network at prediction.
STABLE = {
    "model.activation": "smelu",
    "model.activation_width": 1.0,
    "randomness.vary": ("order", "augmentation"),
}


@dataclasses.dataclass(frozen=True)
class Versions:
    """Two versions of a data set.

    Attributes:
      old: {config key: value} of version 1.
      new: the same of version 2.
      held_out: training examples of the validation split, which both share.
      told: what they are, for the title: "from … to …".
    """

    old: Changes
    new: Changes
    held_out: int
    told: str


def versions_of(dataset: str, known: Mapping[str, Versions], file: str) -> Versions:
    """Those of a data set, or a `UserError` that lists the ones with versions."""
    if dataset not in known:
        raise UserError(
            f"--dataset={dataset}: VERSIONS in configs/studies/{file} has no such data set"
            f"{suggest(dataset, known)}"
        )
    return known[dataset]


def update_study(name: str, versions: Versions, options: Options) -> Study:
    """Both versions by every method, the strengths to choose among, the table and the picture."""
    trainings = _Trainings(versions, options.runs_or(10))
    strengths = trainings.strengths() | trainings.shares()
    paths = {
        method: tuple((value, one.name) for value, one in cells.items())
        for method, cells in strengths.items()
    }
    selections = tuple(
        Selection(method, "strength", points, "cold", SLACK, "negative_flip_rate")
        for method, points in paths.items()
    )
    rows = [
        ("cold start", "cold"),
        ("warm start", "warm"),
        *((method, method) for method in strengths),
        (f"of {MEMBERS} cold starts, the fewest flips", trainings.chosen.name),
        (f"{MEMBERS}-ensembles, both versions", trainings.ensembles.name),
        ("co-distilled pairs, both versions", "pairs"),
        ("fixed initialisation and SmeLU, twice as long, both", "stable"),
    ]
    table = Table(
        name, f"{options.dataset}: from {versions.told}", ("method",), MEASURES,
        tuple(Row((label,), cell, against=("cold",)) for label, cell in rows),
        settings=("training_cost", "inference_cost"),
        shares=("% of cold start's bad churn",),
        share_of="negative_flip_rate",
        notes=(
            "Run r of version 2 against run r of version 1: the baseline's, but for the rows of "
            "both versions, whose version 1 was trained as they are. Strengths: fewest negative "
            f"flips on {versions.held_out:,} validation examples among those at most "
            f"{100 * SLACK:g} points of accuracy below cold start there, or the most accurate "
            "where none is.",
        ),
    )  # fmt: skip
    picture = Tradeoff(
        "flips", f"Negative flips against accuracy on {options.dataset}, by strength",
        paths, "cold", "negative_flip_rate",
    )  # fmt: skip
    trained = [
        *trainings.old_versions(), trainings.cold, trainings.warm, *trainings.both_versions(),
        *(one for cells in strengths.values() for one in cells.values()),
        trainings.chosen, trainings.ensembles,
    ]  # fmt: skip
    title = f"Updates of a model on {options.dataset}, from {versions.told}"
    return Study(name, title, tuple(trained), (table,), (picture,), selections)


class _Trainings:
    """The cells of an update study."""

    def __init__(self, versions: Versions, runs: int):
        self._versions, self._runs = versions, runs
        self.cold = self._new("cold", "baseline")
        self.warm = self._new("warm", "baseline", WARM)
        self.several = self._new("several", "ensemble", ENSEMBLE)
        least = {"method.prediction": "first", "previous.choose": "fewest_flips"}
        self.chosen = counted_as(self.several, "chosen", least)
        mean = counted_as(self.several, "mean", {"method.prediction": "mean"})
        self.ensembles = dataclasses.replace(mean, replaces="v1-ensemble")

    def old_versions(self) -> list[Cell]:
        """Version 1: the baseline that is in production, and what is trained as its successors."""
        return [
            self._old("v1", "baseline"),
            self._old("v1-ensemble", "ensemble", ENSEMBLE),
            self._old("v1-pair", "codistill_skl"),
            self._old("v1-stable", "baseline", STABLE, length=2.0),
        ]

    def both_versions(self) -> list[Cell]:
        """Successors of models that were trained as they are, of which nothing else is learnt."""
        return [
            self.several,
            self._cell("pairs", "codistill_skl", self._versions.new, replaces="v1-pair"),
            self._cell(
                "stable", "baseline", {**self._versions.new, **STABLE},
                length=2.0, replaces="v1-stable",
            ),
        ]  # fmt: skip

    def strengths(self) -> dict[str, dict[float, Cell]]:
        """{method: a training for each strength}."""
        logits, kl = (0.001, 0.003, 0.01, 0.03), (0.1, 0.3, 1.0, 3.0)
        anchored = {"method.anchor": "distillation"}
        of = self._of_strengths
        return {
            "shrink and perturb": of(
                "shrink", "baseline", (0.4, 0.6, 0.8), "previous.start_keep", changes=SHRINK
            ),
            "distillation": of("distill", "distill_previous", WEIGHTS),
            "warm start, distillation": of(
                "warm-distill", "distill_previous", WEIGHTS, changes=WARM
            ),
            "RCP": of("rcp", "rcp", WEIGHTS),
            "PCT, KL": of("pct_kl", "pct_kl", kl),
            "PCT, logits": of("pct_logits", "pct_logits", logits),
            "LDI": of("ldi", "ldi", INHIBITIONS),
            f"ELODI ({MEMBERS}-ensemble)": of("elodi", "ldi", INHIBITIONS, updates="v1-ensemble"),
            "pair, distillation": of("pair-distill", "codistill_skl", WEIGHTS, changes=anchored),
        }

    def shares(self) -> dict[str, dict[float, Cell]]:
        """{method: the same training, of which the previous model has each share}."""
        return {
            "warm start, BCWI": {
                share: counted_as(self.warm, f"bcwi-{share:g}", {"previous.weights_share": share})
                for share in SHARES
            },
            "old and new, mean": {
                share: counted_as(
                    self.cold, f"mixed-{share:g}", {"previous.predictions_share": share}
                )
                for share in SHARES
            },
        }

    def _of_strengths(
        self,
        name: str,
        method: str,
        values: tuple[float, ...],
        key: str = "method.gamma",
        updates: str = "v1",
        changes: Changes = NONE,
    ) -> dict[float, Cell]:
        return {
            value: self._new(f"{name}-{value:g}", method, {key: value, **changes}, updates)
            for value in values
        }

    def _old(self, name: str, method: str, changes: Changes = NONE, length: float = 1.0) -> Cell:
        return self._cell(name, method, {**self._versions.old, **changes}, length)

    def _new(self, name: str, method: str, changes: Changes = NONE, updates: str = "v1") -> Cell:
        """A successor that learns from `updates`, and is compared with the model in production."""
        overrides = {**self._versions.new, **changes}
        return self._cell(name, method, overrides, updates=updates, replaces="v1")

    def _cell(
        self,
        name: str,
        method: str,
        overrides: Changes,
        length: float = 1.0,
        updates: str = "",
        replaces: str = "",
    ) -> Cell:
        overrides = {"data.num_validation": self._versions.held_out, **overrides}
        return Cell(
            name, method, self._runs, overrides=overrides, length=length, updates=updates,
            replaces=replaces,
        )  # fmt: skip
