"""Table 6: identical initialisation × identical data, on GPU in the paper; 5 runs a cell.

    python -m churn_jax.study --study=configs/studies/table6.py --dataset=digits --workdir=DIR

Identical data is the same order and the same augmentation of every example. The paper used
ResNet-32; --config.model.name=resnet32 does too.
"""

from churn_jax import paper
from churn_jax.studies.design import Cell, Options, Row, Study, Table

NOTES = (
    "With everything identical churn is exactly 0 on CPU, where the same program gives the same "
    "bits. On GPU (the paper's 1.33 %) and TPU it isn't: sums are taken in an order that changes "
    "from run to run, a difference in the last bit of one weight, and training makes large "
    "differences of small ones.",
)


def get_study(options: Options) -> Study:
    """The table's cells and rows."""
    cells, rows = [], []
    for published in paper.tables()["table6_cifar10_resnet32_gpu"]:
        init, data = published["identical_init"], published["identical_input_data"]
        vary = (() if init else ("init",)) + (() if data else ("order", "augmentation"))
        held = [name for name, is_held in (("init", init), ("data", data)) if is_held]
        name = "-".join(f"identical_{one}" for one in held) or "nothing_held"
        overrides = {"randomness.vary": vary}
        cells.append(Cell(name, "baseline", options.runs_or(5), overrides=overrides))
        rows.append(Row(tuple("✓" if mark else "–" for mark in (init, data)), name, published))
    table = Table(
        "table6",
        "Table 6: initialisation and data",
        ("identical initialisation", "identical data"),
        ("accuracy", "churn", "schurn"),
        tuple(rows),
        source="paper (cifar10, GPU)",
        bold=False,
        notes=NOTES,
    )
    title = "Table 6: churn with identical initialisation or data"
    return Study("table6", title, tuple(cells), (table,))
