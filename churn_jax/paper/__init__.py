"""Every published number of "On the Reproducibility of Neural Network Predictions".

`tables.json` holds them in percent, except hyperparameters. This module is its only reader.
"""

import functools
import importlib.resources
import json
from typing import Any


@functools.cache
def tables() -> dict[str, Any]:
    """All tables of the paper, as the file has them."""
    return json.loads(importlib.resources.files(__name__).joinpath("tables.json").read_text())


def published(dataset: str, method: str) -> dict[str, Any] | None:
    """The row of Tables 2 and 5 for a data set and method; None if the paper has none."""
    for row in tables()["table2_and_5"]:
        if row["dataset"] == dataset and row["method"] == method:
            return row
    return None


def hyperparameters(dataset: str) -> dict[str, dict[str, float]]:
    """Table 5's choices for a data set: {method: {'alpha' | 'beta' | 'temperature': value}}."""
    return {
        row["method"]: {name: v for name, v in row["hyperparameters"].items() if v is not None}
        for row in tables()["table2_and_5"]
        if row["dataset"] == dataset
    }
