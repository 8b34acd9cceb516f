"""Which way of training is the most stable when the training set is drawn anew? 10 runs a cell.

    python -m churn_jax.study --study=configs/studies/samples.py --dataset=digits --workdir=DIR

Every run trains on a bootstrap sample of its own, so churn is across training samples as well as
seeds. Pairs share their run's sample; bagged pairs and twins have one for each member, and twins
agree on both (twin bootstrap). Since the members of those together see more examples, bagging is
the control for twins, as the 2-ensemble is for pairs. β is the one with the least churn on a
validation split among those at most half a point less accurate there than the baseline.
"""

from churn_jax.studies.design import (
    CHOICE_SLACK,
    Cell,
    Frontier,
    Options,
    Row,
    Selection,
    Study,
    Table,
    choice_examples,
    seen_as,
)

BETAS = (1.0, 2.0, 5.0)
WAYS = {"first": "member 0", "mean": "mean of members"}
OF_RUNS, OF_MEMBERS = "bootstrap", "bootstrap_members"


def get_study(options: Options) -> Study:
    """The trainings, the coefficients to choose among, the table and the frontier."""
    held_out = choice_examples(options.dataset)

    def cell(name: str, method: str, sample: str, length: float = 1.0, **changes) -> Cell:
        overrides = {"data.num_validation": held_out, "data.sample": sample}
        overrides |= {f"method.{key}": value for key, value in changes.items()}
        return Cell(name, method, options.runs_or(10), overrides=overrides, length=length)

    alone = [
        cell("baseline", "baseline", OF_RUNS),
        cell("baseline-2x", "baseline", OF_RUNS, 2.0),
        cell("ensemble", "ensemble", OF_RUNS),
        cell("bagging", "ensemble", OF_MEMBERS),
    ]
    agreeing = {
        name: {b: cell(f"{name}-{b:g}", "codistill_skl", sample, beta=b) for b in BETAS}
        for name, sample in (("pair", OF_RUNS), ("twins", OF_MEMBERS))
    }
    seen = {
        f"{name}, {WAYS[way]}": {b: seen_as(one, way) for b, one in cells.items()}
        for name, cells in agreeing.items()
        for way in WAYS
    }
    selections = tuple(
        Selection(
            name, "β", tuple((b, one.name) for b, one in cells.items()), "baseline", CHOICE_SLACK
        )
        for name, cells in seen.items()
    )

    def row(label: str, cell: str, training: int, prediction: int) -> Row:
        equal = "baseline-2x" if training == 2 else "baseline"
        labels = (label, f"{training}×", f"{prediction}×")
        return Row(labels, cell, against=("baseline", equal))

    rows = (
        row("baseline", "baseline", 1, 1),
        row("baseline, twice as long", "baseline-2x", 2, 1),
        row("2-ensemble", "ensemble", 2, 2),
        row("2-ensemble, own samples (bagging)", "bagging", 2, 2),
        *(row(name, name, 2, 2 if name.endswith(WAYS["mean"]) else 1) for name in seen),
    )
    table = Table(
        "samples",
        f"Churn across training samples of {options.dataset}",
        ("method", "training", "prediction"),
        ("accuracy", "churn", "schurn", "ece"),
        rows,
        settings=("beta", "seconds", "thousand_predictions"),
        shares=("% of the baseline's churn", "% of equal cost's"),
        notes=(
            "Every run has a bootstrap sample of its own, twins and bagged members have one each. "
            f"β: least churn on {held_out:,} validation examples among those at most "
            f"{100 * CHOICE_SLACK:g} points of accuracy below the baseline there.",
        ),
    )
    frontier = Frontier(
        "frontier",
        f"Churn across training samples of {options.dataset}; size: cost of training",
        {row.labels[0]: row.cell for row in rows},
    )
    cells = [*alone, *(one for of_name in agreeing.values() for one in of_name.values())]
    cells += [one for of_way in seen.values() for one in of_way.values()]
    title = f"Stability across training samples of {options.dataset}"
    return Study("samples", title, tuple(cells), (table,), (frontier,), selections)
