"""Tables 2, 4, 5 and 7: every method, 10 runs each; one training serves all four tables.

python -m churn_jax.study --study=configs/studies/table2.py --dataset=digits --workdir=DIR
"""

from churn_jax import paper
from churn_jax.methods import catalogue
from churn_jax.studies.design import (
    Options,
    Row,
    Study,
    Table,
    method_cells,
    paper_source,
    reference_dataset,
)

TABLE2 = (
    *("baseline", "entropy", "skl", "ensemble_distill"),
    *("codistill_ce", "codistill_skl", "codistill_skl_entropy"),
)
TABLE7 = (
    *("baseline", "ensemble_distill", "codistill_ce", "codistill_skl"),
    *("codistill_skl_entropy", "ensemble"),
)
MEASURES = ("accuracy", "churn", "schurn", "churn_correct", "churn_incorrect")
COSTS = ("method", "training cost", "inference cost")


def get_study(options: Options) -> Study:
    """The cells of all methods, and the tables."""
    dataset, source = reference_dataset(options.dataset), paper_source(options.dataset)
    published = {
        name: {row["method"]: row for row in paper.tables()[name] if row["dataset"] == dataset}
        for name in ("table2_and_5", "table4_ece", "table7_with_ensemble")
    }
    plain_ece = {name: {"ece_plain": row["ece"]} for name, row in published["table4_ece"].items()}
    with_ensemble = published["table7_with_ensemble"] | published["table2_and_5"]

    def cost_rows(names: tuple[str, ...], rows: dict) -> tuple[Row, ...]:
        costs = {name: catalogue.METHODS[name] for name in names}
        return tuple(
            Row((name, f"{o.training_cost}×", f"{o.inference_cost}×"), name, rows.get(name, {}))
            for name, o in costs.items()
        )

    def plain_rows(names: tuple[str, ...], rows: dict) -> tuple[Row, ...]:
        return tuple(Row((name,), name, rows.get(name, {})) for name in names)

    hyperparameters = {
        name: row["hyperparameters"] for name, row in published["table2_and_5"].items()
    }
    tables = (
        Table(
            "table2", f"Table 2: accuracy and churn of each method on {options.dataset}",
            COSTS, MEASURES, cost_rows((*TABLE2, "ensemble"), with_ensemble), source,
            notes=("The last row, the 2-ensemble, is Table 7's.",),
        ),
        Table(
            "table4", f"Table 4: calibration error on {options.dataset}",
            ("method",), ("ece_plain", "ece"), plain_rows(TABLE2, plain_ece), source,
        ),
        Table(
            "table5", f"Table 5: coefficients on {options.dataset}",
            ("method",), (), plain_rows(TABLE2, hyperparameters), source,
            settings=("alpha", "beta", "temperature"), bold=False,
        ),
        Table(
            "table7", f"Table 7: against the 2-ensemble on {options.dataset}",
            COSTS, MEASURES, cost_rows(TABLE7, published["table7_with_ensemble"]), source,
        ),
    )  # fmt: skip
    cells = method_cells((*TABLE2, "ensemble"), options.runs_or(10))
    return Study("table2", f"Tables 2, 4, 5 and 7 on {options.dataset}", cells, tables)
