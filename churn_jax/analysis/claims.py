"""Corrects the p-values of everything that a report says, so that its claims hold together.

A report on eight groups contrasts 28 pairs of them in several measures. Among so many some lie
outside their 95 % interval by chance, so p-values are corrected (Holm 1979) for everything that the
report has one of: its contrasts, and whether the churn between two groups is beyond a retraining's.
What may be said then is decided by `report.claims`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.report.claims import claim
from churn_jax.report.estimates import Change, Contrast


def decide(
    contrasts: Sequence[Contrast], changes: Sequence[Change]
) -> tuple[tuple[Contrast, ...], tuple[Change, ...]]:
    """The same, corrected for all of them together."""
    tests = [change.excess_churn_test for change in changes if change.excess_churn_test]
    adjusted = iter(holm([*(found.p for found in contrasts), *(found.p for found in tests)]))
    decided = [dataclasses.replace(found, p_holm=next(adjusted), claim="") for found in contrasts]
    changed = []
    for change in changes:
        test = change.excess_churn_test
        if test:
            excess = change.measures["excess_churn"]
            assert excess is not None
            p_holm = next(adjusted)
            said = claim("excess_churn", excess.mean, test.p, p_holm, test.withheld)
            test = dataclasses.replace(test, p_holm=p_holm, claim=said)
        changed.append(dataclasses.replace(change, excess_churn_test=test))
    return tuple(decided), tuple(changed)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment: p-values that stay valid however many of them are looked at.

    NaN, of what was not tested, stays NaN and does not count.
    """
    p = np.array(p_values, np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(np.minimum(factors * p[order], 1.0))
    return adjusted.tolist()
