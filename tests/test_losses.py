"""Losses against float64 references, and their gradients against finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from churn_jax import losses

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


@pytest.mark.parametrize("classes", [3, 10, 1000, 8142])
@pytest.mark.parametrize("scale", [0.1, 3, 30])
@pytest.mark.parametrize("name", ALL)
def test_float32_value(name, scale, classes):
    a, b = logits(classes, 2, 2, 16, classes, scale=scale).astype(np.float32)
    value = jax.jit(ALL[name])(a, b)
    assert value.dtype == np.float32
    assert value.shape == (2, 16)
    expected = reference(name, a, b).astype(np.float64)
    # The top-k SKL has terms of both signs and may come near 0; all others are sums of one sign.
    atol = 1e-6 if name == "skl_top" else np.finfo(np.float32).tiny
    assert_allclose(value, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("classes", [3, 10, 100])
@pytest.mark.parametrize("name", ALL)
def test_gradients_match_finite_differences(name, classes):
    with jax.enable_x64(True):
        a, b = jnp.asarray(logits(0, 2, 5, classes))
        directions = jnp.asarray(logits(1, 2, 5, classes))
        weights = jnp.arange(1.0, 6)
        # The teacher of a distillation gets no gradient, by contract.
        directions = directions * jnp.array([1, name != "distillation"])[:, None, None]

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
    value, gradients = jax.value_and_grad(lambda a, b: ALL[name](a, b).sum(), (0, 1))(a, b)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)
