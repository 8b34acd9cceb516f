"""Learning rates and ramps, at the steps where they turn."""

import math

import pytest

from churn_jax.methods import schedules


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


def test_the_linear_ramp_reaches_its_value_at_the_stated_step():
    ramp = schedules.ramp("linear", 0.5, 10)
    assert [float(ramp(t)) for t in (0, 1, 5, 10, 99)] == pytest.approx([0, 0.05, 0.25, 0.5, 0.5])


def test_the_step_ramp_starts_after_the_burn_in():
    ramp = schedules.ramp("step", 0.5, 10)
    assert [float(ramp(t)) for t in (0, 10, 11, 99)] == [0, 0, 0.5, 0.5]


def test_the_constant_ramp_is_constant():
    assert schedules.ramp("constant", 0.5, 10)(0) == 0.5
