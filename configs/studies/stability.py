"""Which way of training is the most stable at equal cost? Methods of the paper and after it.

    python -m churn_jax.study --study=configs/studies/stability.py --dataset=digits --workdir=DIR

Every method is held against the baseline, and against the baseline trained for as long as the
method costs: longer training alone lowers churn. A fixed initialisation, averages, smoothing and
agreement are further levers, as is predicting from several views of a picture, and some rows pull
several. Each method's setting is the one with the least churn on a validation split among those at
most half a point less accurate there than the baseline; the table is of the test split. The members
of one training are counted in several ways, which are rows of their own.
"""

from churn_jax.methods.views import count
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
    counted_as,
    seen_as,
)

BETAS = (0.5, 1.0, 2.0)
DECAYS = (0.9, 0.97, 0.99)
SMOOTHINGS = (0.05, 0.1, 0.2)
WIDTHS = (0.5, 1.0, 2.0)  # of SmeLU
RADII = (0.02, 0.05, 0.1)  # of SAM
FIXED = ("order", "augmentation")
MEASURES = ("accuracy", "churn", "schurn", "ece")


def get_study(options: Options) -> Study:
    """The trainings, the settings to choose among, the table and the frontier."""
    held_out = {"data.num_validation": choice_examples(options.dataset)}
    runs = options.runs_or(10)

    def cell(name: str, method: str, length: float = 1.0, **changes) -> Cell:
        settings = {key.replace("__", "."): value for key, value in changes.items()}
        overrides = {**held_out, **settings}
        return Cell(name, method, runs, overrides=overrides, length=length)

    baselines = [
        cell("baseline", "baseline"),
        cell("baseline-2x", "baseline", 2.0),
        cell("fixed", "baseline", randomness__vary=FIXED),
        cell("fixed-2x", "baseline", 2.0, randomness__vary=FIXED),
    ]
    smoothed = {
        e: cell(f"smoothed-{e:g}", "baseline", method__label_smoothing=e) for e in SMOOTHINGS
    }
    cosine = {"optimizer__schedule": "cosine", "optimizer__decay_epochs": ()}
    ema = {
        d: cell(f"ema-{d:g}", "baseline", method__prediction="ema", averages__decay=d, **cosine)
        for d in DECAYS
    }
    long_fixed = {"length": 2.0, "randomness__vary": FIXED}
    fixed_ema = {
        d: cell(
            f"fixed-2x-ema-{d:g}", "baseline", method__prediction="ema", averages__decay=d,
            **cosine, **long_fixed,
        )
        for d in DECAYS
    }  # fmt: skip
    fixed_smoothed = {
        e: cell(f"fixed-2x-smoothed-{e:g}", "baseline", method__label_smoothing=e, **long_fixed)
        for e in SMOOTHINGS
    }
    smelu = {w: cell(f"smelu-{w:g}", "baseline", **_smelu(w)) for w in WIDTHS}
    fixed_smelu = {
        w: cell(f"fixed-2x-smelu-{w:g}", "baseline", **_smelu(w), **long_fixed) for w in WIDTHS
    }
    sam = {r: cell(f"sam-{r:g}", "baseline", optimizer__sam_radius=r) for r in RADII}
    fixed_sam = {
        r: cell(f"fixed-sam-{r:g}", "baseline", optimizer__sam_radius=r, randomness__vary=FIXED)
        for r in RADII
    }
    swa = cell(
        "swa", "baseline", method__prediction="swa",
        optimizer__schedule="constant", optimizer__decay_epochs=(),
    )  # fmt: skip
    cycles = {
        "method__prediction": "snapshots", "optimizer__cycles": 4,
        "optimizer__schedule": "cycles", "optimizer__decay_epochs": (),
    }  # fmt: skip
    snapshots = cell("snapshots", "baseline", **cycles)
    fixed_snapshots = cell("fixed-2x-snapshots", "baseline", **cycles, **long_fixed)
    ensemble = cell("ensemble", "ensemble")

    def agreeing(name: str, members: int, length: float, **changes) -> dict[float, Cell]:
        """One training for each β, whose average of all members' weights predicts."""
        return {
            beta: cell(
                f"{name}-{beta:g}", "codistill_skl", length,
                method__beta=beta, method__members=members, method__prediction="ema_mean",
                averages__decay=0.97, **changes,
            )
            for beta in BETAS
        }  # fmt: skip

    families = {
        "pair": agreeing("pair", 2, 1.0),
        "fixed pair": agreeing("fixed_pair", 2, 1.0, randomness__vary=FIXED),
        "four for half as long": agreeing("four", 4, 0.5),
    }
    seen = {
        (family, way): {beta: seen_as(one, way) for beta, one in trained.items()}
        for family, trained in families.items()
        for way in ("first", "mean", "ema")
    }
    several = () if options.dataset == "arrays" else VIEWS  # features and texts have one view
    augmented = {
        (cell.name, views): counted_as(cell, views, {"method.views": views})
        for cell in baselines[:2]
        for views in several
    }
    augmented_pairs = {
        (way, views): {
            beta: counted_as(
                one, f"{way}-{views}", {"method.prediction": way, "method.views": views}
            )
            for beta, one in families["fixed pair"].items()
        }
        for way in ("first", "mean")
        for views in several
    }
    chosen = {
        "label smoothing": smoothed,
        "EMA, cosine": ema,
        "SmeLU": smelu,
        "SAM": sam,
        "fixed initialisation and SAM": fixed_sam,
        "fixed initialisation and SmeLU, twice as long": fixed_smelu,
        "fixed initialisation and EMA, twice as long": fixed_ema,
        "fixed initialisation and label smoothing, twice as long": fixed_smoothed,
    }
    chosen |= {f"{family}, {WAYS[way]}": cells for (family, way), cells in seen.items()}
    chosen |= {
        f"fixed pair, {WAYS[way]}, {count(views)} views": cells
        for (way, views), cells in augmented_pairs.items()
    }
    selections = tuple(
        Selection(
            name, COEFFICIENTS.get(name, "β"),
            tuple((value, one.name) for value, one in cells.items()), "baseline", CHOICE_SLACK,
        )
        for name, cells in chosen.items()
    )  # fmt: skip

    def row(label: str, cell: str, training: float, prediction: int) -> Row:
        equal = "baseline-2x" if training == 2 else "baseline"
        labels = (label, f"{training:g}×", f"{prediction}×")
        return Row(labels, cell, against=("baseline", equal))

    rows = (
        row("baseline", "baseline", 1, 1),
        row("label smoothing", "label smoothing", 1, 1),
        row("EMA, cosine", "EMA, cosine", 1, 1),
        row("SmeLU", "SmeLU", 1, 1),
        row("SWA, constant rate", "swa", 1, 1),
        row("4 snapshots", "snapshots", 1, 4),
        row("fixed initialisation", "fixed", 1, 1),
        row("baseline, twice as long", "baseline-2x", 2, 1),
        row("SAM", "SAM", 2, 1),
        row("fixed initialisation and SAM", "fixed initialisation and SAM", 2, 1),
        row("fixed initialisation, twice as long", "fixed-2x", 2, 1),
        *(row(name, name, 2, 1) for name in chosen if name.endswith("twice as long")),
        row(
            "fixed initialisation and 4 snapshots, twice as long",
            "fixed-2x-snapshots",
            2,
            4,
        ),
        row("2-ensemble", "ensemble", 2, 2),
        *(
            row(f"{label}, {count(views)} views", augmented[name, views].name, cost, count(views))
            for name, label, cost in (
                ("baseline", "baseline", 1),
                ("baseline-2x", "baseline, twice as long", 2),
            )
            for views in several
        ),
        *(
            row(f"{family}, {WAYS[way]}", f"{family}, {WAYS[way]}", 2, asked)
            for family, members in (("pair", 2), ("fixed pair", 2), ("four for half as long", 4))
            for way, asked in (("first", 1), ("ema", 1), ("mean", members))
        ),
        *(
            row(
                name := f"fixed pair, {WAYS[way]}, {count(views)} views",
                name,
                2,
                asked * count(views),
            )
            for way, asked in (("first", 1), ("mean", 2))
            for views in several
        ),
    )
    trained = [
        *baselines, *smoothed.values(), *ema.values(), swa, snapshots, ensemble,
        *smelu.values(), *fixed_smelu.values(), *sam.values(), *fixed_sam.values(),
        *fixed_ema.values(), *fixed_smoothed.values(), fixed_snapshots,
        *(one for cells in families.values() for one in cells.values()),
    ]  # fmt: skip
    views = [one for cells in seen.values() for one in cells.values()]
    views += [
        *augmented.values(),
        *(one for cells in augmented_pairs.values() for one in cells.values()),
    ]
    table = Table(
        "stability", f"Stability of {options.dataset} at equal cost",
        ("method", "training", "prediction"), MEASURES, rows,
        settings=("seconds", "thousand_predictions"),
        shares=("% of the baseline's churn", "% of equal cost's"),
        notes=(
            "Costs in networks of the recipe's length; seconds are those measured of all runs' "
            "training together, with compilation and evaluation, and of their predicting 1,000 "
            "examples each, without, on a machine that may have been busy.",
            f"Settings: least churn on {held_out['data.num_validation']:,} validation examples "
            f"among those at most {100 * CHOICE_SLACK:g} points of accuracy below the baseline "
            "there.",
        ),
    )  # fmt: skip
    frontier = Frontier(
        "frontier", f"Churn against accuracy on {options.dataset}; size: cost of training",
        {row.labels[0]: row.cell for row in rows},
    )  # fmt: skip
    return Study(
        "stability", f"Stability at equal cost on {options.dataset}",
        tuple(trained + views), (table,), (frontier,), selections,
    )  # fmt: skip


def _smelu(width: float) -> dict[str, object]:
    return {"model__activation": "smelu", "model__activation_width": width}


VIEWS = ("flip", "shift", "flip_shift")  # mirrored ones, too, where training mirrors none
WAYS = {"first": "member 0", "mean": "mean of members", "ema": "EMA of member 0"}
COEFFICIENTS = {
    "label smoothing": "ε",
    "EMA, cosine": "decay",
    "SmeLU": "width",
    "SAM": "radius",
    "fixed initialisation and SAM": "radius",
    "fixed initialisation and SmeLU, twice as long": "width",
    "fixed initialisation and EMA, twice as long": "decay",
    "fixed initialisation and label smoothing, twice as long": "ε",
}
