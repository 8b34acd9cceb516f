"""Shapes and types of what a training step takes beside the state, without computing anything."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from churn_jax.data.batch import Batch, Partners
from churn_jax.data.resident import ResidentPlan, ResidentSource

_shape = jax.ShapeDtypeStruct


def batch(plan: ResidentPlan, runs: int, anchored: bool, sampled: int) -> Batch:
    """Of a batch from the host.

    Args:
      plan: how it is taken.
      runs: how many.
      anchored: whether with a previous model's predictions.
      sampled: how many members have samples of their own.
    """
    examples = (runs, plan.batch_size)
    images = _shape((*examples, *plan.info.image_shape), jnp.dtype(plan.info.dtype))
    labels, share = _shape(examples, jnp.int32), _shape(examples, jnp.float32)
    return Batch(
        images,
        labels,
        _previous(plan, examples) if anchored else None,
        Partners(images, labels, share) if plan.data.mixup else None,
        _counts(examples, sampled),
    )


def source(plan: ResidentPlan, runs: int, anchored: bool, sampled: int) -> ResidentSource:
    """Of resident data; arguments as of `batch`."""
    examples, whole = plan.num_examples, _shape((), jnp.int32)
    rows = (examples, math.prod(plan.info.image_shape))
    return ResidentSource(
        images=_shape(rows, jnp.dtype(plan.info.dtype)),
        labels=_shape((examples,), jnp.int32),
        runs=_shape((runs,), jnp.int32),
        order=_shape((runs, examples + plan.batch_size), jnp.int32),
        epoch=whole,
        first_step=whole,
        offset=whole,
        previous=_previous(plan, (runs, examples)) if anchored else None,
        partners=_shape((runs, 2, examples), jnp.int32) if plan.data.mixup else None,
        shares=_shape((runs, 2, examples), jnp.float32) if plan.data.mixup else None,
        counts=_counts((runs, examples), sampled),
    )


def source_parts(shapes: ResidentSource, everywhere: Any, runs: Any) -> ResidentSource:
    """How a source of such shapes is split over a mesh: what is of a run, by `runs`."""
    return ResidentSource(
        images=everywhere,
        labels=everywhere,
        runs=runs,
        order=runs,
        epoch=everywhere,
        first_step=everywhere,
        offset=everywhere,
        previous=None if shapes.previous is None else runs,
        partners=None if shapes.partners is None else runs,
        shares=None if shapes.shares is None else runs,
        counts=None if shapes.counts is None else runs,
    )


def _previous(plan: ResidentPlan, examples: tuple[int, int]) -> jax.ShapeDtypeStruct:
    return _shape((*examples, plan.info.num_classes), jnp.float32)


def _counts(examples: tuple[int, int], sampled: int) -> jax.ShapeDtypeStruct | None:
    return _shape((*examples, sampled), jnp.uint8) if sampled else None
