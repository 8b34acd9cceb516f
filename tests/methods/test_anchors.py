"""Anchors pinned to their papers' equations, in double precision."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from churn_jax.errors import UserError
from churn_jax.methods import anchors, objectives
from churn_jax.methods.objectives import Objective
from churn_jax.methods.schedules import Length

CLASSES, EXAMPLES, GAMMA = 5, 9, 0.4
RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, CLASSES, EXAMPLES)
LOGITS = RNG.normal(0, 2, (2, EXAMPLES, CLASSES))
OLD = RNG.normal(0, 2, (EXAMPLES, CLASSES))
OLD -= np.log(np.exp(OLD).sum(-1, keepdims=True))  # log-probabilities, as files have them
KINDS = [kind for kind in anchors.KINDS if kind != "none"]


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def total(logits, previous=OLD, gamma=GAMMA, **settings):
    objective = Objective(members=len(logits), **settings)
    found, _ = objectives.terms(
        objective, jnp.asarray(logits), LABELS, alpha=0.0, beta=0.7, gamma=gamma, previous=previous
    )
    return found


def by_hand(value):
    """Σ over the members and the mean over examples of `value`(z, z_old, y), one example each."""
    return sum(
        np.mean([value(*each) for each in zip(member, OLD, LABELS, strict=True)])
        for member in LOGITS
    )


def cross_entropy(target, z):
    return -(target * np.log(softmax(z))).sum()


def one_hot(y):
    return np.eye(CLASSES)[y]


def right(old, y):
    return float(old.argmax() == y)


def test_examples_are_of_both_kinds():
    assert 0 < (OLD.argmax(-1) == LABELS).sum() < EXAMPLES


def test_distillation_is_cross_entropy_with_a_mixed_target():  # Jiang et al.
    def value(z, old, y):
        return cross_entropy(GAMMA * softmax(old) + (1 - GAMMA) * one_hot(y), z)

    assert_allclose(total(LOGITS, anchor="distillation").mean(), by_hand(value), rtol=1e-12)


def test_neighbours_smooth_the_label_over_their_classes():  # Bahri and Jiang
    a, b = 0.4, 0.25  # their smoothing, and the part of it that goes over all classes
    shares = np.stack([[0.6, 0.4, 0, 0, 0], [0, 0, 1, 0, 0], [0.2] * 5] * 3)  # [example, class]
    gamma = a * (1 - b)
    found = total(
        LOGITS, np.log(np.maximum(shares, np.exp(-30))), gamma,
        anchor="neighbours", label_smoothing=a * b / (1 - gamma),
    )  # fmt: skip
    labels = (1 - a) * np.eye(CLASSES)[LABELS] + a * (b / CLASSES + (1 - b) * shares)
    expected = sum(-(labels * np.log(softmax(member))).sum(-1) for member in LOGITS)
    assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("wrong", [1.0, 0.3])
def test_rcp_changes_the_target_where_the_old_model_is_wrong(wrong):  # Cormier et al.
    def value(z, old, y):
        if right(old, y):
            return cross_entropy(GAMMA * softmax(old) + (1 - GAMMA) * one_hot(y), z)
        return cross_entropy(wrong * ((1 - GAMMA) * one_hot(y) + GAMMA / CLASSES), z)

    found = total(LOGITS, anchor="rcp", anchor_wrong=wrong).mean()
    assert_allclose(found, by_hand(value), rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 100.0])
def test_focal_distillation_weighs_what_the_old_model_has_right(temperature):  # Yan et al.
    def value(z, old, y):
        p, q = softmax(z / temperature), softmax(old / temperature)
        far = temperature**2 * (q * np.log(q / p)).sum()
        return cross_entropy(one_hot(y), z) + GAMMA * (1 + 5 * right(old, y)) * far

    found = total(LOGITS, anchor="focal", anchor_temperature=temperature).mean()
    assert_allclose(found, by_hand(value), rtol=1e-8)


def test_focal_distillation_of_logits():  # Yan et al., with logits known up to a constant
    def value(z, old, y):
        far = ((z - z.mean() - old + old.mean()) ** 2).sum() / 2
        return cross_entropy(one_hot(y), z) + GAMMA * (1 + 2 * right(old, y)) * far

    found = total(LOGITS, anchor="focal_logits", anchor_focus=2.0).mean()
    assert_allclose(found, by_hand(value), rtol=1e-12)


@pytest.mark.parametrize("top_k", [2, 10])
def test_inhibition_counts_what_is_beyond_the_margin(top_k):  # Zhao et al.
    def value(z, old, y):
        apart = np.abs(z - z.mean() - old + old.mean())[np.argsort(-old)[:top_k]]
        far = (np.maximum(0, apart - 0.5) ** 2).sum()
        return (1 - GAMMA) * cross_entropy(one_hot(y), z) + GAMMA * far

    found = total(LOGITS, anchor="inhibition", anchor_top_k=top_k).mean()
    assert_allclose(found, by_hand(value), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_match_finite_differences_and_none_flows_into_the_old_model(kind):
    def mean(logits, previous):
        return total(logits, previous, anchor=kind).mean()

    own, theirs = jax.grad(mean, (0, 1))(jnp.asarray(LOGITS), jnp.asarray(OLD))
    if kind in ("focal", "focal_logits", "inhibition"):
        assert not theirs.any()
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = 1e-6 * rng.normal(size=LOGITS.shape)
        change = mean(LOGITS + step, OLD) - mean(LOGITS - step, OLD)
        assert_allclose(change, 2 * (own * step).sum(), rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_huge_logits_stay_finite(kind):
    z = np.float32([[[1e4, -1e4, 0, 0, 1]] * EXAMPLES])
    old = np.float32([[-30, 0, -30, -30, -30]] * EXAMPLES)

    def mean(logits):
        objective = Objective(anchor=kind)
        found, _ = objectives.terms(
            objective, logits, LABELS, alpha=0.0, beta=0.0, gamma=jnp.float32(0.4), previous=old
        )
        return found.mean()

    found, gradient = jax.value_and_grad(mean)(jnp.asarray(z))
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", KINDS)
def test_anchors_and_agreement_add(kind):
    alone = total(LOGITS, anchor=kind)
    both = total(LOGITS, anchor=kind, agreement="symmetric_kl")
    pair = total(LOGITS, agreement="symmetric_kl") - total(LOGITS)
    assert_allclose(both, alone + pair, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_added_to_logits_changes_nothing(kind):
    shifted = total(LOGITS + RNG.normal(size=(2, EXAMPLES, 1)), anchor=kind)
    assert_allclose(shifted, total(LOGITS, anchor=kind), rtol=1e-9)


def test_the_weight_is_ramped():
    objective = Objective(anchor="distillation", gamma=0.5, gamma_ramp="linear")
    objective = dataclasses.replace(objective, gamma_ramp_percent=50.0)
    found = [
        objectives.coefficients(objective, jnp.int32(step), Length(10.0, 100))["gamma"]
        for step in (0, 25, 50, 99)
    ]
    assert_allclose(found, [0, 0.25, 0.5, 0.5], atol=1e-6)
    assert "gamma" not in objectives.coefficients(Objective(), jnp.int32(0), Length(10.0, 100))


@pytest.mark.parametrize("kind", anchors.CONVEX)
def test_a_weight_above_one_is_refused_where_it_is_taken_from_the_loss(kind):
    with pytest.raises(UserError, match=r"config.method.gamma: 1.5 is outside \[0, 1\]"):
        Objective(anchor=kind, gamma=1.5).check()
    Objective(anchor="focal", gamma=1.5).check()
