"""Anybody's Flax module: it takes what it wants of the settings, or is refused in one line."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from churn_jax import models
from churn_jax.errors import UserError
from churn_jax.models.layers import BatchNorm

SHAPE = (6, 5, 2)


class Dense(nn.Module):
    """The least that a model must be."""

    num_classes: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class OfTheShape(nn.Module):
    """Takes the images' shape, and no number of classes."""

    image_shape: tuple[int, int, int]
    columns: int

    @nn.compact
    def __call__(self, x, train):
        assert x.shape[1:] == self.image_shape
        return nn.Dense(3, dtype=jnp.bfloat16)(x.reshape(len(x), -1))


class Normalised(nn.Module):
    num_classes: int
    norm_group: int
    norm_axis: str | None

    @nn.compact
    def __call__(self, x, train):
        x = BatchNorm(self.norm_group, self.norm_axis)(nn.Conv(4, (3, 3))(x), train)
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


class FlaxNormalised(nn.Module):
    """As Flax's own examples do it."""

    num_classes: int

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(4, (3, 3))(x))
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


class Unpooled(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        return nn.Conv(self.num_classes, (3, 3))(x)


class Dropping(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dropout(0.5, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(self.num_classes)(x)


class Counting(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x):
        self.variable("counts", "calls", lambda: jnp.zeros(()))
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class Half(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.num_classes, param_dtype=jnp.bfloat16)(x.reshape(len(x), -1))


class Constant(nn.Module):
    num_classes: int

    def __call__(self, x):
        return jnp.zeros((len(x), self.num_classes))


class Training(nn.Module):
    """Has another name for `train`."""

    num_classes: int

    @nn.compact
    def __call__(self, x, training):
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


def sequence(num_classes):
    return nn.Sequential(
        [lambda x: x.reshape(len(x), -1), nn.Dense(5), nn.relu, nn.Dense(num_classes)]
    )


class Two(nn.Module):
    """Logits of an auxiliary head beside the others, but only in training."""

    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        logits = nn.Dense(self.num_classes)(x.reshape(len(x), -1))
        return (logits, logits) if train else logits


@pytest.fixture
def build():
    def build(module, **settings):
        models.register("mine", module)
        return models.build("mine", **{"num_classes": 3, "image_shape": SHAPE} | settings)

    return build


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "module",
    [
        Dense,
        OfTheShape,
        Normalised,
        FlaxNormalised,
        functools.partial(Normalised, norm_group=2),
        lambda num_classes: Dense(num_classes),
        sequence,
    ],
)
def test_a_module_takes_what_it_wants(build, module, train):
    model = build(module)
    images = jax.random.normal(jax.random.key(1), (4, *SHAPE))
    variables = model.init(jax.random.key(0))
    logits, _ = model.apply(variables, images, train)
    assert (logits.shape, logits.dtype) == ((4, 3), jnp.float32)


def test_settings_arrive(build):
    model = build(Normalised, norm_group=2, norm_axis="data")
    assert (model.network.module.norm_group, model.network.module.norm_axis) == (2, "data")
    assert build(OfTheShape, columns=2).network.module.columns == 2
    fixed = build(functools.partial(Normalised, norm_group=2), norm_group=4)
    assert fixed.network.module.norm_group == 2


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            Unpooled,
            r"'mine' gives float32\[1, 6, 5, 3\] for images \[1, 6, 5, 2\], not logits",
        ),
        (functools.partial(Dense, num_classes=4), r"gives float32\[1, 4\]"),
        (Counting, r"'mine' has the variables \['counts'\]"),
        (Half, "'mine' has parameters or batch statistics of type bfloat16"),
        (Constant, "'mine' has no parameters"),
        (Training, "'mine' wants 'training' beside images"),
    ],
)
def test_a_module_that_is_no_classifier_is_refused_before_anything_is_computed(build, module, said):
    model = build(module)
    with pytest.raises(UserError, match=said) as refused:
        jax.eval_shape(model.init, jax.random.key(0))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("module", "said"),
    [(Dropping, r"draws random numbers"), (Two, r"gives \('float32\[4, 3\]', 'float32\[4, 3\]'\)")],
)
def test_what_goes_wrong_in_training_alone_is_refused_too(build, module, said):
    model = build(module)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((4, *SHAPE), jnp.float32)
    with pytest.raises(UserError, match=f"config.model.name: 'mine' {said}"):
        jax.eval_shape(lambda v, x: model.apply(v, x, train=True), variables, images)


@pytest.mark.parametrize(
    ("settings", "said"), [({"norm_group": 2}, "norm_group"), ({"batch_parts": 2}, "norm_axis")]
)
def test_batch_statistics_that_would_be_others_than_asked_for_are_refused(build, settings, said):
    with pytest.raises(UserError, match=f"'mine' has batch statistics, but does not take {said}"):
        jax.eval_shape(build(FlaxNormalised, **settings).init, jax.random.key(0))
    jax.eval_shape(build(Dense, **settings).init, jax.random.key(0))  # has none


def test_a_type_that_is_not_heeded_is_refused(build):
    with pytest.raises(
        UserError, match=r"config\.model\.dtype: 'bfloat16', but mine does not take"
    ):
        build(Dense, dtype="bfloat16")


def test_a_module_that_wants_more_than_there_is_is_refused(build):
    class Wide(nn.Module):
        width: int

    with pytest.raises(UserError, match=r"'mine' can't be made .*width.* it can take"):
        build(Wide)


def test_what_own_code_raises_is_said_with_its_line(build):
    def init(key):
        return {"w": jnp.zeros((1, 3))}

    def apply(parameters, x):
        return x.reshape(len(x), 1, 1) @ parameters["w"]

    line = apply.__code__.co_firstlineno + 1
    model = build((init, apply))
    said = rf"'mine' raises TypeError: cannot reshape .*\(test_own_models\.py, line {line}\)"
    with pytest.raises(UserError, match=said):
        jax.eval_shape(model.init, jax.random.key(0))
