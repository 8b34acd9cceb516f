"""Table 1: which source of randomness makes networks churn, on TPU in the paper; 5 runs a cell.

    python -m churn_jax.study --study=configs/studies/table1.py --dataset=digits --workdir=DIR

Eight cells: augmentation removed or not × identical batch order or not × identical initialisation
or not. What is not identical differs from run to run.
"""

from churn_jax import paper
from churn_jax.studies.design import Cell, Options, Row, Study, Table

FACTORS = {
    "remove_augmentation": "augmentation removed",
    "identical_order": "identical order",
    "identical_init": "identical initialisation",
}
NOTES = (
    "With augmentation removed and order and initialisation identical nothing differs between "
    "runs: churn is exactly 0 on CPU, where the same program gives the same bits. On TPU (the "
    "paper's 12.20 %) and GPU it isn't: there sums are taken in an order that changes from run "
    "to run, a difference in the last bit of one weight, and training makes large differences of "
    "small ones.",
)


def get_study(options: Options) -> Study:
    """The table's cells and rows."""
    cells, rows = [], []
    for published in paper.tables()["table1_cifar10_resnet56_tpu"]:
        held = [factor for factor in FACTORS if published[factor]]
        vary = {
            "init": "identical_init",
            "order": "identical_order",
            "augmentation": "remove_augmentation",
        }
        varied = tuple(stream for stream, held_by in vary.items() if held_by not in held)
        overrides: dict = {"randomness.vary": varied}
        if "remove_augmentation" in held:
            overrides |= {"data.crop": "none", "data.flip": False}
        name = "-".join(held) or "nothing_held"
        cells.append(Cell(name, "baseline", options.runs_or(5), overrides=overrides))
        marks = tuple("✓" if factor in held else "–" for factor in FACTORS)
        rows.append(Row(marks, name, published))
    table = Table(
        "table1",
        "Table 1: sources of randomness",
        tuple(FACTORS.values()),
        ("accuracy", "churn", "schurn"),
        tuple(rows),
        source="paper (cifar10, TPU)",
        bold=False,
        notes=NOTES,
    )
    title = "Table 1: churn with sources of randomness removed one by one"
    return Study("table1", title, tuple(cells), (table,))
