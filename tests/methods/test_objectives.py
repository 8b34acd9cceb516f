"""Objectives pinned to the paper's equations, in double precision."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from churn_jax.errors import UserError
from churn_jax.methods import objectives
from churn_jax.methods.objectives import Objective
from churn_jax.methods.schedules import Length

CLASSES, EXAMPLES = 5, 7
ALPHA, BETA = 0.3, 0.7


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def random_logits(models, seed=0):
    return np.random.default_rng(seed).normal(0, 2, (models, EXAMPLES, CLASSES))


LABELS = np.random.default_rng(9).integers(0, CLASSES, EXAMPLES)


def softmax(logits, temperature=1.0):
    exp = np.exp(logits / temperature)
    return exp / exp.sum(-1, keepdims=True)


def mean_loss(probs):
    """L of one model: the mean cross-entropy."""
    return -np.log(probs[np.arange(EXAMPLES), LABELS]).mean()


def entropy(probs):
    return -(probs * np.log(probs)).sum(-1).mean()


def kl(p, q):
    return (p * np.log(p / q)).sum(-1).mean()


def skl(p, q):
    return kl(p, q) + kl(q, p)


def cross_entropy(target, probs):
    return -(target * np.log(probs)).sum(-1).mean()


UNIFORM = np.full((EXAMPLES, CLASSES), 1 / CLASSES)


def value(objective, logits, **others):
    total, _ = objectives.terms(objective, logits, LABELS, alpha=ALPHA, beta=BETA, **others)
    return float(total.mean())


def test_baseline_is_the_sum_of_the_members_losses():
    z = random_logits(3)
    expected = sum(mean_loss(softmax(one)) for one in z)
    assert_allclose(value(Objective(members=3), z), expected, rtol=1e-12)


def test_equation_6():
    z = random_logits(1)
    p = softmax(z[0])
    expected = (1 - ALPHA) * mean_loss(p) + ALPHA * entropy(p)
    assert_allclose(value(Objective(regularizer="entropy"), z), expected, rtol=1e-12)


def test_equation_7():
    z = random_logits(1)
    p = softmax(z[0])
    expected = (1 - ALPHA) * mean_loss(p) - ALPHA * skl(p, UNIFORM)
    assert_allclose(value(Objective(regularizer="skl_to_uniform"), z), expected, rtol=1e-12)


def test_top_k_sums_over_the_largest_probabilities_alone():
    z = random_logits(1)
    p = softmax(z[0])
    top = -np.sort(-p, axis=-1)[:, :2]
    expected = (1 - ALPHA) * mean_loss(p) - ALPHA * (top * np.log(top)).sum(-1).mean()
    assert_allclose(value(Objective(regularizer="entropy", top_k=2), z), expected, rtol=1e-12)


def test_equation_8():
    z = random_logits(2)
    p, q = softmax(z[0]), softmax(z[1])
    expected = mean_loss(p) + mean_loss(q) + BETA * np.abs(p - q).sum(-1).mean()
    assert_allclose(value(Objective(members=2, agreement="l1"), z), expected, rtol=1e-12)


def test_equation_9():
    z = random_logits(2)
    p, q = softmax(z[0]), softmax(z[1])
    expected = mean_loss(p) + mean_loss(q) + BETA * skl(p, q)
    assert_allclose(value(Objective(members=2, agreement="symmetric_kl"), z), expected, rtol=1e-12)


def test_equations_17_and_18():
    z, stale = random_logits(2), random_logits(2, seed=1)
    p, q = softmax(z[0]), softmax(z[1])
    old_p, old_q = softmax(stale[0]), softmax(stale[1])
    first = mean_loss(p) + BETA * cross_entropy(old_q, p)
    second = mean_loss(q) + BETA * cross_entropy(old_p, q)
    objective = Objective(members=2, agreement="cross_entropy", update="stale")
    assert_allclose(value(objective, z, stale_logits=stale), first + second, rtol=1e-12)


@pytest.mark.parametrize("regularizer", ["entropy", "skl_to_uniform"])
def test_equation_19(regularizer):
    z = random_logits(2)
    p, q = softmax(z[0]), softmax(z[1])
    added = {
        "entropy": entropy(p) + entropy(q),
        "skl_to_uniform": -skl(p, UNIFORM) - skl(q, UNIFORM),
    }[regularizer]
    expected = mean_loss(p) + mean_loss(q) + BETA * skl(p, q) + ALPHA * added
    objective = Objective(
        members=2, agreement="symmetric_kl", regularizer=regularizer, convex=False
    )
    assert_allclose(value(objective, z), expected, rtol=1e-12)


def test_distillation_learns_from_the_mean_of_its_teachers_at_the_temperature():
    z, teachers, tau, weight = random_logits(1), random_logits(2, seed=1), 3.0, 0.8
    target = (softmax(teachers[0], tau) + softmax(teachers[1], tau)) / 2
    taught = tau**2 * cross_entropy(target, softmax(z[0], tau))
    expected = (1 - weight) * mean_loss(softmax(z[0])) + weight * taught
    objective = Objective(teacher_weight=weight, temperature=tau)
    assert_allclose(value(objective, z, teacher_logits=teachers), expected, rtol=1e-12)


@pytest.mark.parametrize("agreement", ["symmetric_kl", "l1", "cross_entropy"])
def test_more_than_two_members_agree_by_the_mean_over_pairs(agreement):
    z = random_logits(3)
    p = [softmax(one) for one in z]
    distance = {
        "symmetric_kl": skl,
        "l1": lambda a, b: np.abs(a - b).sum(-1).mean(),
        "cross_entropy": lambda a, b: cross_entropy(a, b) + cross_entropy(b, a),
    }[agreement]
    pairs = distance(p[0], p[1]) + distance(p[0], p[2]) + distance(p[1], p[2])
    expected = sum(map(mean_loss, p)) + BETA * pairs / 3
    assert_allclose(value(Objective(members=3, agreement=agreement), z), expected, rtol=1e-12)


@pytest.mark.parametrize("agreement", ["symmetric_kl", "l1"])
def test_members_agree_with_the_mean_of_them_all(agreement):
    z = random_logits(4)
    p = [softmax(one) for one in z]
    distance = {"symmetric_kl": skl, "l1": lambda a, b: np.abs(a - b).sum(-1).mean()}[agreement]
    mean = np.mean(p, axis=0)
    expected = sum(map(mean_loss, p)) + BETA * np.mean([distance(own, mean) for own in p])
    objective = Objective(members=4, agreement=agreement, agree_with="mean")
    assert_allclose(value(objective, z), expected, rtol=1e-12)


def test_label_smoothing_spreads_a_share_over_all_classes():
    z = random_logits(2)
    target = 0.9 * np.eye(CLASSES)[LABELS] + 0.1 / CLASSES
    expected = sum(cross_entropy(target, softmax(one)) for one in z)
    assert_allclose(value(Objective(members=2, label_smoothing=0.1), z), expected, rtol=1e-12)


OTHERS = np.random.default_rng(8).integers(0, CLASSES, EXAMPLES)
SHARES = np.random.default_rng(7).random(EXAMPLES)


def mixed_labels(smoothing=0.0):
    share = SHARES[:, None]
    labels = share * np.eye(CLASSES)[LABELS] + (1 - share) * np.eye(CLASSES)[OTHERS]
    return (1 - smoothing) * labels + smoothing / CLASSES


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mix_has_both_labels_and_all_else_is_of_the_mix(smoothing):
    z, stale = random_logits(2), random_logits(2, seed=1)
    p, old = [softmax(one) for one in z], [softmax(one) for one in stale]
    expected = sum(
        (1 - ALPHA) * cross_entropy(mixed_labels(smoothing), own)
        + ALPHA * entropy(own)
        + BETA * cross_entropy(peer, own)
        for own, peer in zip(p, old[::-1], strict=True)
    )
    objective = Objective(
        members=2, label_smoothing=smoothing, regularizer="entropy",
        agreement="cross_entropy", update="stale",
    )  # fmt: skip
    found = value(objective, z, stale_logits=stale, mix=(OTHERS, SHARES))
    assert_allclose(found, expected, rtol=1e-12)


def test_a_student_learns_from_its_teachers_predictions_of_the_mix():
    z, teachers, weight = random_logits(1), random_logits(2, seed=1), 0.8
    taught = cross_entropy((softmax(teachers[0]) + softmax(teachers[1])) / 2, softmax(z[0]))
    expected = (1 - weight) * cross_entropy(mixed_labels(), softmax(z[0])) + weight * taught
    objective = Objective(teacher_weight=weight)
    found = value(objective, z, teacher_logits=teachers, mix=(OTHERS, SHARES))
    assert_allclose(found, expected, rtol=1e-12)


def test_a_prediction_of_a_mix_is_right_in_part_for_either_label():
    z = random_logits(2)
    right = z.argmax(-1) == LABELS, z.argmax(-1) == OTHERS
    expected = SHARES * right[0] + (1 - SHARES) * right[1]
    found = objectives.accuracy(z, LABELS, (OTHERS, SHARES))
    assert_allclose(found, expected, rtol=1e-6)


def test_twins_have_their_own_sample_and_agree_on_both():
    """As if each member's batch were its sample, written out with its repetitions."""
    z, counts = random_logits(2), np.random.default_rng(6).poisson(1, (2, EXAMPLES))
    own = [np.repeat(np.arange(EXAMPLES), of_member) for of_member in counts]
    p = [softmax(one) for one in z]
    expected = 0.0
    for member, drawn in enumerate(own):
        losses = -np.log(p[member][drawn, LABELS[drawn]])
        entropies = -(p[member] * np.log(p[member])).sum(-1)[drawn]
        agreements = ((p[0] - p[1]) * np.log(p[0] / p[1])).sum(-1)[drawn]
        expected += ((1 - ALPHA) * losses + ALPHA * entropies).sum() + BETA * agreements.sum() / 2
    objective = Objective(members=2, agreement="symmetric_kl", regularizer="entropy")
    assert_allclose(value(objective, z, counts=counts), expected / EXAMPLES, rtol=1e-12)


@pytest.mark.parametrize("agreement", ["symmetric_kl", "l1", "cross_entropy"])
def test_every_agreement_term_has_a_stale_form(agreement):
    z, stale = random_logits(3), random_logits(3, seed=1)
    p, old = [softmax(one) for one in z], [softmax(one) for one in stale]
    distance = {
        "symmetric_kl": skl,
        "l1": lambda own, peer: np.abs(own - peer).sum(-1).mean(),
        "cross_entropy": lambda own, peer: cross_entropy(peer, own),
    }[agreement]
    expected = sum(map(mean_loss, p))
    for own in range(3):
        expected += BETA * np.mean(
            [distance(p[own], old[peer]) for peer in range(3) if peer != own]
        )
    objective = Objective(members=3, agreement=agreement, update="stale")
    assert_allclose(value(objective, z, stale_logits=stale), expected, rtol=1e-12)


def test_neither_stale_peers_nor_teachers_get_a_gradient():
    z, others = random_logits(2), random_logits(2, seed=1)
    stale = Objective(members=2, agreement="symmetric_kl", update="stale")
    taught = Objective(members=2, teacher_weight=0.5)

    def loss(others, objective, name):
        given = {name: others}
        total, _ = objectives.terms(objective, z, LABELS, alpha=ALPHA, beta=BETA, **given)
        return total.mean()

    assert_array_equal(jax.grad(loss)(others, stale, "stale_logits"), 0)
    assert_array_equal(jax.grad(loss)(others, taught, "teacher_logits"), 0)


def test_the_joint_update_moves_both_members():
    def agreement(z):
        objective = Objective(members=2, agreement="symmetric_kl")
        return objectives.terms(objective, z, LABELS, alpha=0.0, beta=1.0)[1]["agreement"].sum()

    gradient = jax.grad(agreement)(random_logits(2))
    assert np.abs(gradient).max(axis=(1, 2)).min() > 0.01


def test_ramps_reach_their_values_at_the_stated_step():
    linear = Objective(
        alpha=0.2, alpha_ramp="linear", alpha_ramp_epochs=2.0,
        beta=0.5, beta_ramp="linear", beta_ramp_epochs=3.0,
    )  # fmt: skip

    def at(objective, step):
        return {
            name: float(value)
            for name, value in objectives.coefficients(
                objective, jnp.int32(step), Length(steps_per_epoch=10.0, total_steps=100)
            ).items()
        }

    for step in (0, 10, 20, 29, 30, 31, 1000):
        expected = {"alpha": min(0.2 * step / 20, 0.2), "beta": min(0.5 * step / 30, 0.5)}
        assert at(linear, step) == pytest.approx(expected, rel=1e-6)
    burn_in = dataclasses.replace(linear, beta_ramp="step")
    assert [at(burn_in, step)["beta"] for step in (0, 30, 31)] == [0, 0, 0.5]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"regularizer": "entropy", "alpha": 1.0}, r"alpha: 1.0 is outside \[0, 1\)"),
        ({"regularizer": "entropy", "alpha": -0.1}, r"alpha: -0.1 is outside \[0, 1\)"),
        ({"members": 2, "agreement": "l1", "beta": -1.0}, r"beta: -1.0 is outside \[0"),
        ({"temperature": 0.0}, "temperature: 0.0 is not positive"),
        ({"members": 1, "agreement": "l1"}, "members: 1, but the agreement term 'l1' needs 2"),
        ({"agreement": "lone"}, "agreement: unknown value 'lone'"),
        ({"num_teachers": 0}, r"num_teachers: 0 is outside \[1, 128\]"),
    ],
)
def test_objectives_that_cannot_be_are_refused(values, fault):
    with pytest.raises(UserError, match=fault):
        Objective(**values).check()
