"""Figure 2: confidence by method, and the trade-off of accuracy and churn over β; 10 runs a point.

python -m churn_jax.study --study=configs/studies/figure2.py --dataset=digits --workdir=DIR
"""

from churn_jax.studies.design import (
    Histogram,
    Options,
    Study,
    Tradeoff,
    method_cells,
    points,
    swept,
)

CONFIDENCE = ("baseline", "entropy", "skl", "codistill_skl")
TRADEOFF = ("codistill_ce", "codistill_skl")


def get_study(options: Options) -> Study:
    """The cells and both panels."""
    runs = options.runs_or(10)
    curves = {method: swept(method, "beta", options.values("beta"), runs) for method in TRADEOFF}
    figures = (
        Histogram(
            "figure2_confidence",
            f"Figure 2: confidence of predictions on {options.dataset}",
            {name: name for name in CONFIDENCE},
        ),
        Tradeoff(
            "figure2_tradeoff",
            f"Figure 2: accuracy and churn over β (numbers) on {options.dataset}",
            {method: points(cells, "beta") for method, cells in curves.items()},
            "baseline",
        ),
    )
    cells = method_cells(CONFIDENCE, runs) + tuple(c for cells in curves.values() for c in cells)
    title = f"Figure 2: confidence, and the accuracy–churn trade-off on {options.dataset}"
    return Study("figure2", title, cells, figures=figures)
