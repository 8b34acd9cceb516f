"""Models of a few hundred examples to hold conditions against."""

import numpy as np
from scipy import special

from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.predictions.run import Run

RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(400, 4)) * 2
LABELS = SHARED.argmax(1)
PROBS = [special.softmax(z, axis=1) for z in SHARED + RNG.normal(size=(5, 400, 4))]
REGION = np.where(np.arange(400) < 300, "eu", np.where(np.arange(400) < 395, "us", "x] y"))
PARTS = {"class": LABELS.astype(str), "region": REGION}


def samples(groups, names, probs=PROBS, labels=LABELS):
    runs = [Run(lambda rows, p=p: p[rows], "probs", g) for p, g in zip(probs, groups, strict=False)]
    return Samples(measure(runs, labels, len(labels), probs[0].shape[1], Wanted()), names)


def flipping(n, flips, flips_back=0):
    """Two models of n examples: the new one wrong on `flips`, the old on `flips_back` others."""
    labels = np.arange(n) % 2
    old, new = np.eye(2)[labels] * 0.8 + 0.1, np.eye(2)[labels] * 0.8 + 0.1
    new[:flips] = new[:flips, ::-1]
    old[flips : flips + flips_back] = old[flips : flips + flips_back, ::-1]
    return samples([0, 1], ["old", "new"], [old, new], labels)


def outcome(found):
    (verdict,) = found
    return verdict.outcome
