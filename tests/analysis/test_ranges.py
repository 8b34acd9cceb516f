"""No interval leaves its measure's possible range, whatever the files hold.

CHURN_JAX_RANDOM_INPUTS=10000 python -m pytest tests/analysis/test_ranges.py
"""

import math
import os

import numpy as np
import pytest

from churn_jax.analysis import building, summaries
from churn_jax.analysis.blocks import EVERYTHING
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.metrics.definitions import definition
from churn_jax.predictions.run import Run
from churn_jax.report.estimates import Group

INPUTS = int(os.environ.get("CHURN_JAX_RANDOM_INPUTS", "100"))


def random_input(rng):
    """A few runs of one or two groups on a few examples, all kinds of certain, equal and wrong."""
    sizes = rng.integers(1, 5, size=rng.integers(1, 3))
    if sizes.sum() < 2:
        sizes[0] = 2
    examples, classes = int(rng.integers(1, 13)), int(rng.integers(2, 5))
    shared = rng.choice([0.0, 1.0, 5.0]) * rng.normal(size=(examples, classes))
    runs = []
    for _ in range(sizes.sum()):
        logits = shared + rng.choice([0.0, 1e-8, 0.3, 3.0]) * rng.normal(size=shared.shape)
        logits -= logits.max(1, keepdims=True)
        probs = np.exp(rng.choice([1.0, 1.0, 30.0]) * logits)
        runs.append(probs / probs.sum(1, keepdims=True))
        if rng.random() < 0.1:
            runs[-1] = np.eye(classes)[runs[-1].argmax(1)]
    labels = rng.integers(0, classes, examples)
    if rng.random() < 0.3:
        labels = runs[0].argmax(1)  # all right
    return sizes, runs, labels, classes


def samples_of(sizes, runs, labels, classes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    sources = [
        Run(lambda rows, p=p: p[rows], "probs", int(group))
        for p, group in zip(runs, groups, strict=True)
    ]
    measured = measure(sources, labels, len(labels), classes, EVERYTHING)
    return Samples(measured, [f"g{place}" for place in range(len(sizes))])


def every_estimate(samples):
    for group in range(len(samples.names)):
        yield from summaries.group_measures(samples, group).items()
    for a, b in building.changes(len(samples.names)):
        yield from summaries.change(samples, a, b, None).measures.items()


def every_contrast(samples):
    groups = [Group(name=name, num_runs=1, measures={}, bounds={}) for name in samples.names]
    return summaries.contrasts(samples, building.changes(len(samples.names)), groups)


@pytest.mark.filterwarnings("error")
def test_every_interval_stays_inside_its_measures_range():
    rng = np.random.default_rng(0)
    for _ in range(INPUTS):
        given = random_input(rng)
        samples = samples_of(*given)
        for key, found in every_estimate(samples):
            if found is None or key == "discrepancy":
                continue
            low, high = definition(key).limits
            if found.unknown:
                assert math.isnan(found.low)
                assert math.isnan(found.high)
            else:
                assert low - 1e-12 <= found.low <= found.high <= high + 1e-12, (key, found, given)
                assert math.isfinite(found.high), (key, found, given)
                slack = 1e-6 * max(1, abs(found.mean))
                assert found.low - slack <= found.mean <= found.high + slack, (key, found, given)
                assert low - slack <= found.mean <= high + slack, (key, found, given)
        for contrast in every_contrast(samples):
            low, high = definition(contrast.metric).limits
            if math.isnan(contrast.p):
                assert contrast.withheld
            else:
                span = high - low + 1e-12
                assert -span <= contrast.ci95[0] <= contrast.ci95[1] <= span, (contrast, given)
                assert math.isfinite(contrast.ci95[1] - contrast.ci95[0]), (contrast, given)
