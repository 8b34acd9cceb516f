"""Losses against float64 references, and their gradients against finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose, assert_array_equal

from churn_jax import losses
from churn_jax.errors import UserError

ONE = {
    "entropy": losses.entropy,
    "entropy_top": partial(losses.entropy, top_k=3),
    "entropy_top_renormalised": partial(losses.entropy, top_k=3, renormalise=True),
    "skl": losses.skl_to_uniform,
    "skl_top": partial(losses.skl_to_uniform, top_k=3),
    "skl_top_renormalised": partial(losses.skl_to_uniform, top_k=3, renormalise=True),
}
TWO = {
    "symmetric_kl": losses.symmetric_kl,
    "l1_distance": losses.l1_distance,
    "soft_cross_entropy": lambda a, b: losses.soft_cross_entropy(a, jax.nn.softmax(b)),
    "distillation": lambda a, b: losses.distillation(a, jax.nn.softmax(b), 3.0),
}
ALL = {name: lambda a, b, f=f: f(a) for name, f in ONE.items()} | TWO
ALL["cross_entropy"] = lambda a, b: losses.cross_entropy(a, jnp.argmax(b, axis=-1))


def logits(seed, *shape, scale=3.0):
    return scale * np.random.default_rng(seed).standard_normal(shape)


def log_softmax(x):
    """In extended precision, with the digits of log-probabilities near 0 kept."""
    x = np.asarray(x, np.longdouble)
    shifted = x - x.max(axis=-1, keepdims=True)
    rest = np.sort(np.exp(shifted), axis=-1)[..., :-1].sum(axis=-1, keepdims=True)
    return shifted - np.log1p(rest)


def reference(name, a, b):
    """What each loss should be, written from its definition in extended precision."""
    log_p, log_q = log_softmax(a), log_softmax(b)
    p, q, k = np.exp(log_p), np.exp(log_q), np.longdouble(a.shape[-1])
    if "top" in name:
        log_p = -np.sort(-log_p, axis=-1)[..., :3]
        if "renormalised" in name:
            log_p, k = log_softmax(log_p), np.longdouble(3)
        p = np.exp(log_p)
    match name.split("_top")[0]:
        case "cross_entropy":
            return -np.take_along_axis(log_p, b.argmax(axis=-1)[..., None], axis=-1)[..., 0]
        case "entropy":
            return -(p * log_p).sum(axis=-1)
        case "skl":
            return ((p - 1 / k) * np.maximum(log_p, losses.LOG_PROBABILITY_FLOOR)).sum(axis=-1)
        case "symmetric_kl":
            return ((p - q) * (log_p - log_q)).sum(axis=-1)
        case "l1_distance":
            return np.abs(p - q).sum(axis=-1)
        case "soft_cross_entropy":
            return -(q * log_p).sum(axis=-1)
        case "distillation":
            return -9 * (q * log_softmax(np.asarray(a, np.longdouble) / 3)).sum(axis=-1)


@pytest.mark.parametrize("classes", [3, 10, 8142])
@pytest.mark.parametrize("name", ALL)
def test_float32_value(name, classes):
    a, b = logits(classes, 2, 3, 16, classes)
    a, b = (x * np.array([0.1, 1, 10])[:, None, None] for x in (a, b))  # from uniform to certain
    a, b = a.astype(np.float32), b.astype(np.float32)
    value = jax.jit(ALL[name])(a, b)
    assert value.dtype == np.float32
    assert value.shape == (3, 16)
    expected = reference(name, a, b).astype(np.float64)
    # The top-k SKL has terms of both signs and may come near 0; all others are sums of one sign.
    atol = 1e-6 if name == "skl_top" else np.finfo(np.float32).tiny
    assert_allclose(value, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("delta", [1e-4, 1e-2])
@pytest.mark.parametrize("name", ["symmetric_kl", "l1_distance"])
def test_nearly_equal_predictions(name, delta):
    a = logits(0, 64, 10).astype(np.float32)
    # An offset per example changes neither prediction, and must not drown their difference.
    b = (a + delta * logits(1, 64, 10) + logits(2, 64, 1, scale=100)).astype(np.float32)
    expected = reference(name, a, b).astype(np.float64)
    assert_allclose(jax.jit(TWO[name])(a, b), expected, rtol=1e-5)
    assert_array_equal(TWO[name](a, b), TWO[name](b, a))
    assert_array_equal(TWO[name](a, a), 0)


def test_certain_predictions_keep_their_digits():
    x = np.array([[40.0, 0, 0]], np.float32)
    assert_allclose(losses.cross_entropy(x, np.array([0])), 2 * np.exp(-40), rtol=1e-5)
    assert_allclose(losses.entropy(x), 2 * 41 * np.exp(-40), rtol=1e-5)


def test_values_by_hand():
    x = np.log(np.array([[1.0, 2, 3, 4]]) / 10).astype(np.float32)
    p = np.array([0.1, 0.2, 0.3, 0.4])
    assert_allclose(losses.entropy(x)[0], -(p * np.log(p)).sum(), rtol=1e-6)
    assert_allclose(losses.entropy(x, top_k=2)[0], -(p * np.log(p))[2:].sum(), rtol=1e-6)
    half = np.array([3 / 7, 4 / 7])
    renormalised = losses.entropy(x, top_k=2, renormalise=True)
    assert_allclose(renormalised[0], -(half * np.log(half)).sum(), rtol=1e-6)
    assert_allclose(losses.skl_to_uniform(x)[0], ((p - 0.25) * np.log(p)).sum(), rtol=1e-6)
    top = losses.skl_to_uniform(x, top_k=2)
    assert_allclose(top[0], ((p - 0.25) * np.log(p))[2:].sum(), rtol=1e-5)
    renormalised = losses.skl_to_uniform(x, top_k=2, renormalise=True)
    assert_allclose(renormalised[0], ((half - 0.5) * np.log(half)).sum(), rtol=1e-5)


@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("loss", [losses.entropy, losses.skl_to_uniform])
def test_top_k_of_all_classes_is_no_top_k(loss, renormalise):
    x = logits(0, 4, 7).astype(np.float32)
    assert_array_equal(loss(x, top_k=7, renormalise=renormalise), loss(x))


def test_skl_to_uniform_is_bounded_and_lets_go():
    x = np.array([[1e4, 0, -1e4], [100, 0, -100], [5, 0, -5]], np.float32)
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(losses.skl_to_uniform)))(x)
    assert_allclose(value[:2], 20, rtol=1e-6)  # two of three classes at the floor of −30
    assert_allclose(gradient[:2], 0, atol=1e-6)
    assert np.abs(gradient[2]).max() > 0.1


@pytest.mark.parametrize("classes", [3, 100])
@pytest.mark.parametrize("name", ALL)
def test_gradients_match_finite_differences(name, classes):
    with jax.enable_x64(True):
        a, b = jnp.asarray(logits(0, 2, 5, classes))
        directions = jnp.asarray(logits(1, 2, 5, classes))
        weights = jnp.arange(1.0, 6)
        # The teacher of a distillation gets no gradient, by contract.
        directions = directions * jnp.array([1, name != "distillation"])[:, None, None]

        @jax.jit
        def loss(a, b):
            return jnp.sum(weights * ALL[name](a, b))

        step = 1e-5
        ahead = loss(a + step * directions[0], b + step * directions[1])
        behind = loss(a - step * directions[0], b - step * directions[1])
        gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(a, b)
        assert gradients[0].dtype == np.float64
        slope = sum(jnp.vdot(g, d) for g, d in zip(gradients, directions, strict=True))
        assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("classes", [2, 8142])
@pytest.mark.parametrize("name", [name for name in ALL if "top" not in name])
def test_huge_logits_stay_finite(name, classes):
    a, b = np.random.default_rng(0).choice([-1e4, 0, 1e4], (2, 8, classes)).astype(np.float32)
    loss = jax.jit(jax.value_and_grad(lambda a, b: ALL[name](a, b).sum(), (0, 1)))
    value, gradients = loss(a, b)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", ALL)
def test_half_precision_is_accumulated_in_float32(name):
    a, b = jnp.asarray(logits(0, 2, 4, 50), jnp.bfloat16)
    wide_a, wide_b = a.astype(jnp.float32), b.astype(jnp.float32)
    loss = jax.jit(jax.value_and_grad(lambda a: ALL[name](a, wide_b).sum()))
    (value, gradient), (expected, slope) = loss(a), loss(wide_a)
    assert value.dtype == np.float32
    assert_allclose(value, expected, rtol=1e-6)
    assert gradient.dtype == jnp.bfloat16
    assert_allclose(gradient.astype(np.float32), slope, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_vmap_and_shard_map_change_nothing(name):
    a, b = logits(0, 2, 4, 6, 10).astype(np.float32)
    gradient = jax.grad(lambda a, b: ALL[name](a, b).sum(), (0, 1))
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("data")
    sharded = jax.shard_map(
        jax.vmap(gradient), mesh=mesh, in_specs=(spec, spec), out_specs=(spec, spec)
    )
    for got, expected in zip(jax.jit(sharded)(a, b), jax.jit(gradient)(a, b), strict=True):
        assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["entropy", "skl", "soft_cross_entropy", "symmetric_kl"])
def test_logits_that_the_compiler_computes_twice(name):
    # Fused with what makes them, logits may be computed twice and rounded differently; no logit
    # need then equal the largest, and a sum that relies on it is wrong by a whole term.
    a, b = logits(0, 2, 5, 100).astype(np.float32)
    fused = jax.jit(lambda a, b: ALL[name](a / 3, b))(a, b)
    assert_allclose(fused, ALL[name](a / 3, b), rtol=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "entropy", "skl", "symmetric_kl", "l1_distance"])
def test_backward_keeps_only_logits_and_a_few_numbers_per_example(name):
    a, b = jnp.asarray(logits(0, 2, 32, 1000), jnp.float32)
    _, backward = jax.vjp(ALL[name], a, b)
    kept = {id(x): x for x in jax.tree.leaves(backward)}.values()
    assert sum(x.size for x in kept) <= a.size + b.size + 10 * len(a)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: losses.entropy(x, top_k=11), "top_k must lie in 1 … 10"),
        (lambda x: losses.skl_to_uniform(x, top_k=0), "top_k must lie in 1 … 10"),
        (lambda x: losses.cross_entropy(x, np.zeros(3, int)), r"labels must have shape \[4\]"),
        (lambda x: losses.symmetric_kl(x, x[:2]), r"logits_b must have shape \[4, 10\]"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(UserError, match=message):
        call(logits(0, 4, 10))
