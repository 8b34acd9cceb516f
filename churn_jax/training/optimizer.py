"""The optimiser that a config asks for, of optax's parts."""

import jax
import numpy as np
import optax

from churn_jax.config import Config
from churn_jax.methods import optimizers, schedules
from churn_jax.methods.schedules import Length


def learning_rate(config: Config, length: Length) -> optax.Schedule:
    """The rate of each step, counted from 0."""
    settings = config.optimizer
    decays = [length.steps(epochs) for epochs in settings.decay_epochs]
    decays += [length.steps(0, percent) for percent in settings.decay_percent]
    return schedules.learning_rate(
        settings.schedule,
        schedules.Course(
            peak=settings.learning_rate,
            total_steps=length.total_steps,
            warmup_steps=length.steps(settings.warmup_epochs, settings.warmup_percent),
            decay_steps=decays,
            decay_factor=settings.decay_factor,
            cycles=settings.cycles,
            tail_steps=length.steps(0, settings.tail_percent),
        ),
    )


def learning_rates(config: Config, length: Length) -> np.ndarray:
    """The rates of all steps, float32 [step]."""
    of_step = jax.jit(jax.vmap(learning_rate(config, length)))
    return np.asarray(of_step(np.arange(length.total_steps)))


def make_optimizer(config: Config, length: Length) -> optax.GradientTransformation:
    """Clipping, then the optimiser that is named; for one model's parameters."""
    settings = config.optimizer
    clip = optax.clip_by_global_norm(settings.clip_norm) if settings.clip_norm else optax.identity()
    steps = optimizers.steps(
        settings.name,
        learning_rate(config, length),
        settings.arguments,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        decayed=settings.decayed,
    )
    return optax.chain(clip, *steps)
