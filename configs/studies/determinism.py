"""What rounding and chaos alone do: the same run again, and with one weight moved by one ulp.

    python -m churn_jax.study --study=configs/studies/determinism.py --dataset=digits --workdir=DIR

All random streams are held. In `held` nothing differs between the runs, so what parts them is the
order in which the machine sums; in `one_ulp` every run but the first starts with one weight moved
to the next float32, so that chaos has something to start from on machines that sum in a fixed
order. `free` varies all streams: churn as usual. --config.deterministic=True asks the backend for
kernels that give the same bits every time.
"""

from churn_jax.studies.design import Cell, Divergence, Options, Row, Study, Table

HELD = {"randomness.vary": (), "log_distances": True}
CELLS = {
    "held": ("nothing", HELD),
    "one_ulp": ("one weight, by one ulp", HELD | {"randomness.perturb": "one_ulp"}),
    "free": ("initialisation, order and augmentation", {}),
}


def get_study(options: Options) -> Study:
    """The cells, their table, and the figure of distances."""
    cells = tuple(
        Cell(name, "baseline", options.runs_or(10), overrides=overrides)
        for name, (_, overrides) in CELLS.items()
    )
    table = Table(
        "determinism",
        f"Churn without and with randomness on {options.dataset}",
        ("cell", "what differs between the runs at the start"),
        ("accuracy", "churn", "schurn", "churn_correct", "churn_incorrect"),
        tuple(Row((name, differs), name) for name, (differs, _) in CELLS.items()),
        bold=False,
    )
    figure = Divergence(
        "distances", f"Distance of runs that share all randomness on {options.dataset}",
        ("held", "one_ulp"),
    )  # fmt: skip
    title = f"Determinism and chaos on {options.dataset}"
    return Study("determinism", title, cells, (table,), (figure,))
