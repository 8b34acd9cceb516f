"""What rows are, counted over blocks side by side, is what is counted one by one."""

import math

import numpy as np
import pytest

from churn_jax.metrics.arrays import SUM_TOLERANCE
from churn_jax.predictions.readers import census

FIELDS = ("probs", "log_probs", "positive", "negative", "ones", "hundreds", "unit")


def one_by_one(values):
    """The same by Python's own sums, row after row."""
    counts, missing, firsts = dict.fromkeys(FIELDS, 0), [], {"probs": None, "log_probs": None}
    for i, row in enumerate(values.tolist()):
        missing.append(any(math.isnan(value) for value in row))
        if missing[-1]:
            continue
        finite = [value for value in row if math.isfinite(value)]
        total = math.fsum(finite) if len(finite) == len(row) else math.inf
        powers = math.fsum(math.exp(min(value, 700.0)) for value in row)
        positive, negative = all(v >= 0 for v in row), all(v <= 0 for v in row)
        unit = all(0 <= v <= 1 for v in row)
        if len(row) == 1:
            probs, log_probs = unit, negative
        else:
            probs = positive and abs(total - 1) < SUM_TOLERANCE
            log_probs = negative and abs(powers - 1) < SUM_TOLERANCE
        found = {
            "probs": probs,
            "log_probs": log_probs,
            "positive": positive,
            "negative": negative,
            "ones": abs(total - 1) < SUM_TOLERANCE,
            "hundreds": positive and abs(total - 100) < 100 * SUM_TOLERANCE,
            "unit": unit,
        }
        for name in FIELDS:
            counts[name] += found[name]
        for name, first in firsts.items():
            if first is None and not found[name]:
                firsts[name] = i
    return counts, missing, firsts


def rows(classes):
    """Rows of every kind, those that are none, and values at the edges."""
    rng = np.random.default_rng(classes)
    probs = rng.dirichlet(np.ones(classes), 6)
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(rng.random(probs.shape) < 0.2, 0, probs))
    odd = np.zeros((7, classes))
    odd[0, 0], odd[1, 0], odd[2, -1], odd[3, 0] = np.nan, np.inf, -np.inf, -0.0
    odd[4], odd[5, 0], odd[6, 0] = 1e4, -1e4, 1
    if classes > 1:
        odd[5, 1], odd[1, 1] = 1e4 + 1, -np.inf
    return np.concatenate([probs, logs, 100 * probs, rng.normal(size=(6, classes)), odd])


@pytest.mark.parametrize("classes", [1, 2, 10])
@pytest.mark.parametrize("elements", [1, 37, 1 << 18])
def test_all_kinds_of_rows_in_any_blocks(monkeypatch, classes, elements):
    monkeypatch.setattr(census, "_BLOCK_ELEMENTS", elements)
    values = rows(classes)
    for given in (values, values[::-1], values[:6], values[6:12]):
        found = census.count(given)
        counts, missing, firsts = one_by_one(given)
        assert {name: getattr(found, name) for name in FIELDS} == counts
        np.testing.assert_array_equal(found.missing, missing)
        assert found.rows == missing.count(False)
        assert found.first_no_probs == firsts["probs"]
        assert found.first_no_log_probs == firsts["log_probs"]
        if firsts["probs"] is not None:
            np.testing.assert_allclose(found.its_sum, given[firsts["probs"]].sum())
