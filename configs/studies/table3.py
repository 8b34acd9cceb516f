"""Table 3: is it the regularisation? Four methods without and with weight decay; 10 runs a cell.

python -m churn_jax.study --study=configs/studies/table3.py --dataset=digits --workdir=DIR
"""

from churn_jax import paper
from churn_jax.studies.design import (
    Cell,
    Options,
    Row,
    Study,
    Table,
    paper_source,
    reference_dataset,
)

METHODS = ("baseline", "entropy", "skl", "codistill_skl")
WEIGHT_DECAYS = (0.0, 1e-4)


def get_study(options: Options) -> Study:
    """The cells and the table."""
    published = {
        (row["method"], row["weight_decay"]): row
        for row in paper.tables()["table3_weight_decay"]
        if row["dataset"] == reference_dataset(options.dataset)
    }
    cells, rows = [], []
    for method in METHODS:
        for decay in WEIGHT_DECAYS:
            name = f"{method}-decay-{decay:g}"
            overrides = {"optimizer.weight_decay": decay}
            cells.append(Cell(name, method, options.runs_or(10), overrides=overrides))
            rows.append(Row((method, f"{decay:g}"), name, published.get((method, decay), {})))
    table = Table(
        "table3",
        f"Table 3: weight decay on {options.dataset}",
        ("method", "weight decay"),
        ("accuracy", "churn"),
        tuple(rows),
        paper_source(options.dataset),
    )
    return Study("table3", f"Table 3: weight decay on {options.dataset}", tuple(cells), (table,))
