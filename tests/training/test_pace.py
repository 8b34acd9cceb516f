"""How fast predictions come, by a clock of our own."""

import numpy as np
import pytest

from churn_jax.training import inference

BATCH = np.empty((2, 1, 500, 3))  # [run, member, example, class]


def pace(monkeypatch, *seconds):
    """Of batches that take so many seconds each."""
    now = [0.0]
    monkeypatch.setattr(inference.time, "monotonic", lambda: now[0])
    found = inference.Pace()
    for (part, _), took in zip(found.along([(BATCH, 500)] * len(seconds)), seconds, strict=True):
        assert part is BATCH
        now[0] += took
    return found.of_thousand


def test_the_first_batch_is_left_out(monkeypatch):
    assert pace(monkeypatch, 60.0, 1.0, 3.0) == pytest.approx(4.0)  # 1,000 examples in 4 s


def test_of_one_batch_nothing_is_known(monkeypatch):
    assert pace(monkeypatch, 60.0) is None
