"""Learning rates and ramps, at the steps where they turn."""

import math

import numpy as np
import pytest

from churn_jax.errors import UserError
from churn_jax.methods import objectives, schedules
from churn_jax.training import optimizer
from tests.fixtures.experiments import make_config


def stepped(peak, **settings):
    return schedules.learning_rate("stepped", schedules.Course(peak, total_steps=1000, **settings))


def test_the_cifar_schedule_of_appendix_a():
    """1.0 after 15 epochs of warm-up, then a tenth of it from 200, 300 and 400 each."""
    steps_per_epoch = 50_000 / 1024
    warmup, *decays = (round(epoch * steps_per_epoch) for epoch in (15, 200, 300, 400))
    rate = stepped(1.0, warmup_steps=warmup, decay_steps=decays)
    for epoch, expected in [
        (14.98, 1),
        (100, 1),
        (199.9, 1),
        (200.1, 0.1),
        (301, 0.01),
        (449, 1e-3),
    ]:
        assert rate(round(epoch * steps_per_epoch)) == pytest.approx(expected, rel=0.01)
    assert rate(0) == pytest.approx(1 / warmup, rel=1e-4)
    assert rate(round(7.5 * steps_per_epoch)) == pytest.approx(0.5, rel=0.01)


def test_without_warm_up_or_decay_the_rate_is_constant():
    rate = stepped(0.3)
    assert rate(0) == rate(1000) == pytest.approx(0.3)


def test_two_decays_that_fall_on_one_step_multiply():
    rate = stepped(1.0, decay_steps=(10, 10, 20))
    assert [float(rate(t)) for t in (9, 11, 21)] == pytest.approx([1, 0.01, 0.001])


def test_cosine_falls_from_the_peak_to_zero():
    rate = schedules.learning_rate(
        "cosine", schedules.Course(2.0, total_steps=110, warmup_steps=10)
    )
    expected = [0.2, 2.0, 2.0, 1 + math.cos(math.pi / 4), 1.0, 0.0]
    found = [float(rate(t)) for t in (0, 9, 10, 35, 60, 110)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_each_cycle_is_a_cosine_from_the_peak():
    rate = schedules.learning_rate(
        "cycles", schedules.Course(1.0, total_steps=60, warmup_steps=4, cycles=3)
    )

    def cosine(passed):
        return 0.5 * (1 + math.cos(math.pi * passed))

    expected = {4: 1.0, 12: cosine(0.5), 19: cosine(15 / 16), 20: 1.0, 30: cosine(0.5), 40: 1.0}
    assert {t: float(rate(t)) for t in expected} == pytest.approx(expected, abs=1e-6)
    assert float(rate(59)) == pytest.approx(cosine(19 / 20), abs=1e-6)


def test_a_constant_rate_ends_in_its_tail():
    rate = schedules.learning_rate(
        "constant", schedules.Course(1.0, total_steps=100, warmup_steps=5, tail_steps=20)
    )
    assert [float(rate(t)) for t in (5, 80, 90, 100)] == pytest.approx([1, 1, 0.5, 0], abs=1e-6)


def test_durations_in_percent_follow_the_length_of_training():
    for epochs in (10, 20):
        length = schedules.Length(steps_per_epoch=4.5, total_steps=round(4.5 * epochs))
        assert length.steps(0, 20) == round(0.9 * epochs)
        assert length.steps(2, 0) == 9


@pytest.mark.parametrize("epochs", [10.0, 25.0])
def test_a_recipe_in_percent_scales_with_its_length(epochs):
    """Warm-up, decays and the ramp of β, as one would say them in epochs of that training."""
    length = schedules.Length(steps_per_epoch=4.0, total_steps=round(4 * epochs))
    pair = {"method__members": 2, "method__agreement": "symmetric_kl", "method__beta": 2.0}
    in_percent = make_config(
        **pair, epochs=epochs, method__beta_ramp_percent=40.0,
        optimizer__warmup_percent=20.0, optimizer__decay_percent=(50.0, 80.0),
    )  # fmt: skip
    in_epochs = make_config(
        **pair, epochs=epochs, method__beta_ramp_epochs=0.4 * epochs,
        optimizer__warmup_epochs=0.2 * epochs, optimizer__decay_epochs=(0.5 * epochs, 0.8 * epochs),
    )  # fmt: skip
    rates = optimizer.learning_rates(in_percent, length)
    np.testing.assert_array_equal(rates, optimizer.learning_rates(in_epochs, length))
    total, peak = length.total_steps, in_percent.optimizer.learning_rate
    expected = {0.2: peak, 0.5: peak, 0.8: peak / 10, 1.0: peak / 100}  # just before each
    for share, rate in expected.items():
        assert rates[round(share * total) - 1] == pytest.approx(rate, rel=1e-6)
    betas = [
        float(objectives.coefficients(in_percent.method, round(share * total), length)["beta"])
        for share in (0.1, 0.2, 0.4, 1.0)
    ]
    assert betas == pytest.approx([0.5, 1.0, 2.0, 2.0], rel=0.06)


def test_decays_of_a_config_that_fall_on_one_step_multiply():
    config = make_config(epochs=2.0, optimizer__decay_percent=(50.0, 51.0))  # of 8 steps
    rates = optimizer.learning_rates(config, schedules.Length(4.0, 8))
    assert rates[[3, 5]] == pytest.approx([0.05, 0.0005])


def test_a_duration_in_both_units_is_refused():
    both = {"optimizer__decay_epochs": (1.0,), "optimizer__decay_percent": (50.0,)}
    with pytest.raises(
        UserError, match=r"decay_percent: config\.optimizer\.decay_epochs says it too"
    ):
        make_config(**both)


def test_the_linear_ramp_reaches_its_value_at_the_stated_step():
    ramp = schedules.ramp("linear", 0.5, 10)
    assert [float(ramp(t)) for t in (0, 1, 5, 10, 99)] == pytest.approx([0, 0.05, 0.25, 0.5, 0.5])


def test_the_step_ramp_starts_after_the_burn_in():
    ramp = schedules.ramp("step", 0.5, 10)
    assert [float(ramp(t)) for t in (0, 10, 11, 99)] == [0, 0, 0.5, 0.5]


def test_the_constant_ramp_is_constant():
    assert schedules.ramp("constant", 0.5, 10)(0) == 0.5
