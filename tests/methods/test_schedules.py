"""Learning rates and ramps, at the steps where they turn."""

import pytest

from churn_jax.methods import schedules


def test_the_cifar_schedule_of_appendix_a():
    """1.0 after 15 epochs of warm-up, then a tenth of it from 200, 300 and 400 each."""
    steps_per_epoch = 50_000 / 1024
    rate = schedules.learning_rate(
        1.0, steps_per_epoch=steps_per_epoch, warmup_epochs=15, decay_epochs=(200, 300, 400)
    )
    for epoch, expected in [
        (14.98, 1),
        (100, 1),
        (199.9, 1),
        (200.1, 0.1),
        (301, 0.01),
        (449, 1e-3),
    ]:
        assert rate(round(epoch * steps_per_epoch)) == pytest.approx(expected, rel=0.01)
    assert rate(0) == pytest.approx(1 / round(15 * steps_per_epoch), rel=1e-4)
    assert rate(round(7.5 * steps_per_epoch)) == pytest.approx(0.5, rel=0.01)


def test_without_warm_up_or_decay_the_rate_is_constant():
    rate = schedules.learning_rate(0.3, steps_per_epoch=10)
    assert rate(0) == rate(1000) == pytest.approx(0.3)


def test_the_linear_ramp_reaches_its_value_at_the_stated_step():
    ramp = schedules.ramp("linear", 0.5, 10)
    assert [float(ramp(t)) for t in (0, 1, 5, 10, 99)] == pytest.approx([0, 0.05, 0.25, 0.5, 0.5])


def test_the_step_ramp_starts_after_the_burn_in():
    ramp = schedules.ramp("step", 0.5, 10)
    assert [float(ramp(t)) for t in (0, 10, 11, 99)] == [0, 0, 0.5, 0.5]


def test_the_constant_ramp_is_constant():
    assert schedules.ramp("constant", 0.5, 10)(0) == 0.5
