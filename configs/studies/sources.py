"""Where does churn come from? Every combination of the random streams, varied and held; 10 runs.

    python -m churn_jax.study --study=configs/studies/sources.py --dataset=digits --workdir=DIR

The streams are initialisation, order, augmentation and the sample: every run trains on a bootstrap
sample of the training set, its own or the same as the others'. Churn is the variance of a
prediction, taken as a vector with one 1, so a crossed design splits it as Sobol splits a variance:
with the others held, what a stream makes alone is its total part, interactions included; what
holding it takes away from all churn is its part by itself.
"""

import itertools

from churn_jax.studies.design import Cell, Options, Row, Sources, Study, Table

STREAMS = {
    "init": "initialisation",
    "order": "order",
    "augmentation": "augmentation",
    "sample": "sample",
}
ALL = "+".join(STREAMS)


def get_study(options: Options) -> Study:
    """A cell for every set of streams that vary, the table and the picture."""
    sets = [
        varied
        for size in range(1, len(STREAMS) + 1)
        for varied in itertools.combinations(STREAMS, size)
    ]
    cells = [
        Cell(
            "+".join(varied),
            "baseline",
            options.runs_or(10),
            overrides={"data.sample": "bootstrap", "randomness.vary": varied},
        )
        for varied in sets
    ]
    rows = [
        Row(
            tuple("✓" if stream in varied else "–" for stream in STREAMS),
            "+".join(varied),
            against=(ALL,),
        )
        for varied in sets
    ]
    table = Table(
        "sources",
        f"Churn on {options.dataset} by what varies",
        tuple(STREAMS.values()),
        ("accuracy", "churn", "schurn"),
        tuple(rows),
        bold=False,
        notes=(
            "What does not vary is held at the first run's: one draw of it, over which nothing is "
            "averaged. With nothing varied churn is exactly 0 on CPU.",
        ),
        shares=("% of all churn",),
    )
    picture = Sources(
        "parts",
        f"The parts of churn on {options.dataset}",
        {title: (stream, _others(stream)) for stream, title in STREAMS.items()},
        ALL,
    )
    title = f"The sources of churn on {options.dataset}"
    spreads = tuple(cell.name for cell in cells)
    return Study("sources", title, tuple(cells), (table,), (picture,), spreads=spreads)


def _others(stream: str) -> str:
    return "+".join(other for other in STREAMS if other != stream)
