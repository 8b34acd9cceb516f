"""Does it help to start every run from the same weights? With and without co-distillation; 10 runs.

python -m churn_jax.study --study=configs/studies/fixed_init.py --dataset=digits --workdir=DIR
"""

from churn_jax import paper
from churn_jax.studies.design import Cell, Options, Row, Study, Table

METHODS = ("baseline", "codistill_skl")
VARY = {"free": ("init", "order", "augmentation"), "fixed_init": ("order", "augmentation")}


def get_study(options: Options) -> Study:
    """The cells and the table."""
    published = paper.tables()["fixed_initialization_cifar10_resnet56"]
    cells, rows = [], []
    for method in METHODS:
        for start, vary in VARY.items():
            name = f"{method}-{start}"
            overrides = {"randomness.vary": vary}
            cells.append(Cell(name, method, options.runs_or(10), overrides=overrides))
            churn = {"churn": published[f"{method}_churn"][start]}
            rows.append(Row((method, "✓" if start == "fixed_init" else "–"), name, churn))
    table = Table(
        "fixed_init",
        f"Fixed initialisation on {options.dataset}",
        ("method", "identical initialisation"),
        ("accuracy", "churn", "schurn"),
        tuple(rows),
        "paper (cifar10)",
    )
    title = f"Fixed initialisation on {options.dataset}"
    return Study("fixed_init", title, tuple(cells), (table,))
