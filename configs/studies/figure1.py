"""Figures 1 and 3: entropy, accuracy and churn against α and against β; 10 runs a point.

    python -m churn_jax.study --study=configs/studies/figure1.py --dataset=digits \
        --config.data.num_validation=100 --workdir=DIR

The same cells answer which α and β to take: by smallest test churn, as the paper chose, and, where
a validation split is held out, by smallest validation churn.
"""

from churn_jax.studies.design import Cell, Options, Selection, Study, Sweep, points, swept

ALPHA = ("entropy", "skl")
BETA = ("codistill_ce", "codistill_skl")
MEASURES = ("entropy", "accuracy", "churn", "schurn")


def get_study(options: Options) -> Study:
    """The sweeps, their figures and the choices."""
    runs = options.runs_or(10)
    sweeps = {
        (method, coefficient): swept(method, coefficient, options.values(coefficient), runs)
        for methods, coefficient in ((ALPHA, "alpha"), (BETA, "beta"))
        for method in methods
    }

    def series(methods: tuple[str, ...], coefficient: str) -> dict:
        return {m: points(sweeps[m, coefficient], coefficient) for m in methods}

    figures = (
        Sweep(
            "figure1", f"Figure 1: regularisers on {options.dataset}", "α",
            series(ALPHA, "alpha"), MEASURES, "baseline",
        ),
        Sweep(
            "figure3", f"Figure 3: co-distillation on {options.dataset}", "β",
            series(BETA, "beta"), MEASURES, "baseline",
        ),
    )  # fmt: skip
    selections = tuple(
        Selection(method, coefficient, points(cells, coefficient))
        for (method, coefficient), cells in sweeps.items()
    )
    cells = (Cell("baseline", "baseline", runs), *(c for swept in sweeps.values() for c in swept))
    title = f"Figures 1 and 3: sweeps over α and β on {options.dataset}"
    return Study("figure1", title, cells, figures=figures, selections=selections)
