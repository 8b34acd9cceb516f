"""Which way of retraining keeps a model stable from one version of its data to the next?

    python -m churn_jax.study --study=configs/studies/update.py --dataset=digits --workdir=DIR

Version 1 of the data set is a random half of the training examples, version 2 is all of them. Run r
of version 2 is held against run r of version 1: what the old model had right and the new one has
wrong is the price of an update. Each method's strength is the one with the fewest such negative
flips on a validation split among those at most 0.3 points less accurate there than a cold start,
or the most accurate one where none is; the table is of the test split.
"""

from churn_jax.errors import UserError
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

# (examples of version 1, those held out)
VERSIONS = {
    "digits": (75, 400),
    "fashion_mnist": (27_000, 6_000),
    "cifar10": (22_500, 5_000),
    "cifar100": (22_500, 5_000),
    "svhn": (34_000, 5_000),
    "imagenet": (600_000, 50_000),
    "inaturalist": (200_000, 30_000),
    "image_folder": (500, 500),
}
SLACK = 0.003  # of validation accuracy
WEIGHTS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)  # γ where it is taken from the loss
INHIBITIONS = (0.01, 0.03, 0.1, 0.3, 0.5, 0.7)
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)
FIXED = ("order", "augmentation")
MEASURES = (
    *("accuracy", "churn_to_old", "negative_flip_rate", "positive_flip_rate"),
    *("relative_nfr", "backward_trust", "excess_churn"),
)
WARM = {"previous.start_keep": 1.0, "previous.start_fresh": 0.0}
SMELU = {"model.activation": "smelu", "model.activation_width": 1.0, "randomness.vary": FIXED}


def get_study(options: Options) -> Study:
    """Both versions by every method, the strengths to choose among, the table and the picture."""
    if options.dataset not in VERSIONS:
        raise UserError(
            f"--dataset={options.dataset}: the study knows no first version of it; those it knows "
            f"are {', '.join(VERSIONS)} (VERSIONS in configs/studies/update.py)"
        )
    first, held_out = VERSIONS[options.dataset]
    runs = options.runs_or(10)

    def cell(name: str, method: str, updates: str = "", length: float = 1.0, **changes) -> Cell:
        """A training on version 2, or on version 1 where the name says so."""
        overrides = {"data.num_validation": held_out, **changes.pop("overrides", {})}
        old = name.startswith("v1")
        if old:
            overrides["data.num_train"] = first
        elif options.dataset == "digits":
            overrides["data.num_train"] = 2 * first
        replaces = "" if old else changes.pop("replaces", "v1")
        return Cell(
            name, method, runs, overrides=overrides, length=length, updates=updates,
            replaces=replaces,
        )  # fmt: skip

    def strengths(
        name: str, method: str, values: tuple[float, ...], key="method.gamma", old="v1", **more
    ) -> dict[float, Cell]:
        """A training for each strength."""
        return {
            value: cell(f"{name}-{value:g}", method, old, overrides={key: value, **more})
            for value in values
        }

    cold = cell("cold", "baseline", "v1")
    warm = cell("warm", "baseline", "v1", overrides=WARM)
    old_versions = [
        cell("v1", "baseline"),
        cell("v1-ensemble", "ensemble", overrides={"method.members": 4}),
        cell("v1-pair", "codistill_skl"),
        cell("v1-stable", "baseline", length=2.0, overrides=SMELU),
    ]
    both_versions = [
        cell("pairs", "codistill_skl", replaces="v1-pair"),
        cell("stable", "baseline", length=2.0, overrides=SMELU, replaces="v1-stable"),
    ]
    shrink = {"previous.start_fresh": 0.1}
    families = {
        "shrink and perturb": strengths(
            "shrink", "baseline", (0.4, 0.6, 0.8), "previous.start_keep", **shrink
        ),
        "distillation": strengths("distill", "distill_previous", WEIGHTS),
        "warm start, distillation": strengths("warm-distill", "distill_previous", WEIGHTS, **WARM),
        "RCP": strengths("rcp", "rcp", WEIGHTS),
        "PCT, KL": strengths("pct_kl", "pct_kl", (0.1, 0.3, 1.0, 3.0)),
        "PCT, logits": strengths("pct_logits", "pct_logits", (0.001, 0.003, 0.01, 0.03)),
        "LDI": strengths("ldi", "ldi", INHIBITIONS),
        "ELODI (4-ensemble)": strengths("elodi", "ldi", INHIBITIONS, old="v1-ensemble"),
        "pair, distillation": strengths(
            "pair-distill", "codistill_skl", WEIGHTS, **{"method.anchor": "distillation"}
        ),
    }
    views = {
        "warm start, BCWI": {
            share: counted_as(warm, f"bcwi-{share:g}", {"previous.weights_share": share})
            for share in SHARES
        },
        "old and new, mean": {
            share: counted_as(cold, f"mixed-{share:g}", {"previous.predictions_share": share})
            for share in SHARES
        },
    }
    chosen = families | views
    selections = tuple(
        Selection(
            name, "strength", tuple((value, one.name) for value, one in cells.items()), "cold",
            SLACK, "negative_flip_rate",
        )
        for name, cells in chosen.items()
    )  # fmt: skip
    rows = [
        ("cold start", "cold"),
        ("warm start", "warm"),
        *((name, name) for name in chosen),
        ("co-distilled pairs, both versions", "pairs"),
        ("fixed initialisation and SmeLU, twice as long, both", "stable"),
    ]
    table = Table(
        "update", f"From half of {options.dataset} to all of it", ("method",), MEASURES,
        tuple(Row((label,), name, against=("cold",)) for label, name in rows),
        settings=("training_cost", "inference_cost"),
        shares=("% of cold start's bad churn",),
        share_of="negative_flip_rate",
        notes=(
            f"Version 1: {first:,} examples; version 2: twice as many. Run r of version 2 against "
            "run r of version 1: the baseline's, but for the last two rows, whose version 1 was "
            "trained as they are. Strengths: fewest negative flips on "
            f"{held_out:,} validation examples among those at most {100 * SLACK:g} points of "
            "accuracy below cold start there, or the most accurate where none is.",
        ),
    )  # fmt: skip
    paths = {
        name: tuple((value, one.name) for value, one in cells.items())
        for name, cells in chosen.items()
    }
    picture = Tradeoff(
        "flips", f"Negative flips against accuracy on {options.dataset}, by strength",
        paths, "cold", "negative_flip_rate",
    )  # fmt: skip
    trained = [
        *old_versions, cold, warm, *both_versions,
        *(one for cells in families.values() for one in cells.values()),
        *(one for cells in views.values() for one in cells.values()),
    ]  # fmt: skip
    title = f"Updates of a model on {options.dataset}"
    return Study("update", title, tuple(trained), (table,), (picture,), selections)
