"""The stacked step: meshes agree, runs are independent, members meet in their logits alone."""

import dataclasses
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

from churn_jax.data.batch import Batch
from churn_jax.methods.schedules import Length
from churn_jax.parallel import sharding, stacking
from churn_jax.planner import collectives
from churn_jax.training.feeds import make_feed
from churn_jax.training.optimizer import make_optimizer
from tests.fixtures.experiments import (
    PAIR,
    ROOT,
    assert_close,
    assert_equal,
    digits,
    make_config,
    make_experiment,
    train_steps,
)

MESHES = [(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 2)]
PAIRS = {key.replace(".", "__"): value for key, value in PAIR.items()}


def on_mesh(shape, **overrides):
    run, member, data = shape
    return make_config(**PAIRS, mesh__run=run, mesh__member=member, mesh__data=data, **overrides)


@pytest.fixture(scope="module")
def reference():
    return train_steps(on_mesh((1, 1, 1)), 5)


@pytest.mark.parametrize("shape", MESHES, ids=str)
def test_losses_and_parameters_do_not_depend_on_the_mesh(reference, shape):
    state, metrics = train_steps(on_mesh(shape), 5)
    assert_close(state.params, reference[0].params, rtol=1e-5)
    assert_close(metrics, reference[1], rtol=1e-5)


@pytest.mark.parametrize("name", ["scan", "vmap"])
def test_every_layout_within_a_device_gives_the_same(reference, monkeypatch, name):
    """TPUs and GPUs scan; CPUs, where the reference was made, unroll."""
    monkeypatch.setitem(stacking.BY_PLATFORM, "cpu", name)
    state, metrics = train_steps(on_mesh((1, 1, 1)), 5)
    assert_close(state.params, reference[0].params, rtol=1e-5)
    assert_close(metrics, reference[1], rtol=1e-5)


def test_batch_norm_over_a_split_batch_is_that_of_the_whole_batch():
    whole, _ = train_steps(on_mesh((1, 1, 1), model__name="resnet8", runs=1), 2)
    split, _ = train_steps(on_mesh((1, 1, 2), model__name="resnet8", runs=1), 2)
    assert_close(split.params, whole.params, rtol=1e-5)
    assert_close(split.batch_stats, whole.batch_stats, rtol=1e-5)


def test_batch_norm_in_groups_does_not_depend_on_the_mesh_and_reduces_nothing():
    grouped = {"model__name": "resnet8", "model__norm_group": 8, "runs": 1}
    whole, _ = train_steps(on_mesh((1, 1, 1), **grouped), 2)
    split, _ = train_steps(on_mesh((1, 1, 2), **grouped), 2)
    assert_close(split.params, whole.params, rtol=1e-5)
    assert_close(split.batch_stats, whole.batch_stats, rtol=1e-5)


def test_a_batch_norm_group_that_is_larger_than_a_devices_share_spans_neighbours():
    grouped = {"model__name": "resnet8", "model__norm_group": 8, "runs": 1}
    whole, _ = train_steps(on_mesh((1, 1, 1), **grouped), 2)
    split, _ = train_steps(on_mesh((1, 1, 8), **grouped), 2)  # 2 of 16 examples on each
    assert_close(split.params, whole.params, rtol=1e-5)
    assert_close(split.batch_stats, whole.batch_stats, rtol=1e-5)


@pytest.mark.usefixtures("as_users_compile")
def test_a_run_does_not_depend_on_the_runs_beside_it():
    together, _ = train_steps(make_config(runs=8), 3)
    alone, _ = train_steps(make_config(runs=1, first_run=3), 3)
    assert_equal(jax.tree.map(lambda x: x[3:4], together.params), alone.params)


@pytest.mark.usefixtures("as_users_compile")
def test_members_without_agreement_train_as_baselines_do():
    """Eq. 9 with β = 0 trains exactly the baseline of each member."""
    pair, _ = train_steps(make_config(**{**PAIRS, "method__beta": 0.0}), 3)
    single, _ = train_steps(make_config(), 3)
    assert_equal(jax.tree.map(lambda x: x[:, :1], pair.params), single.params)


def test_agreement_draws_members_together(reference):
    apart, _ = train_steps(make_config(**{**PAIRS, "method__beta": 0.0}), 5)
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max(), reference[0].params, apart.params)
    assert all(change > 0 for change in jax.tree.leaves(changed))


def test_only_logits_cross_members_and_nothing_crosses_runs():
    config = on_mesh((1, 2, 4), model__name="resnet8")
    found = collectives.collectives(_compiled_step(config).as_text(), make_experiment(config).mesh)
    logits_bytes = config.runs * 2 * (config.batch_size // 4) * 10 * 4
    across_members = [each for each in found if "member" in each.axes]
    assert across_members
    assert all(each.bytes <= logits_bytes for each in across_members), across_members
    assert all(each.axes in {("member",), ("data",)} for each in found), found


def _compiled_step(config):
    experiment = make_experiment(config)
    dataset = digits(config.data.num_train)
    images = jax.ShapeDtypeStruct(
        (config.runs, config.batch_size, *dataset.info.image_shape), np.uint8
    )
    labels = jax.ShapeDtypeStruct((config.runs, config.batch_size), np.int32)
    state = experiment.abstract_state()
    return experiment.streaming_step.lower(state, Batch(images, labels)).compile()


def test_weight_decay_is_added_after_clipping_and_before_momentum():
    config = make_config(
        optimizer__weight_decay=0.1, optimizer__clip_norm=1.0, optimizer__nesterov=False
    )
    optimizer = make_optimizer(config, Length(steps_per_epoch=4, total_steps=8))
    params, grads = {"w": np.array([2.0])}, {"w": np.array([10.0])}
    state = optimizer.init(params)
    for expected_momentum in (1.0 + 0.2, 0.9 * 1.2 + 1.0 + 0.1 * (2.0 - 0.05 * 1.2)):
        updates, state = optimizer.update(grads, state, params)
        np.testing.assert_allclose(updates["w"], -0.05 * expected_momentum, rtol=1e-6)
        params = optax.apply_updates(params, updates)


@pytest.mark.parametrize(
    "network",
    [
        {"model__name": "lenet5"},
        {"model__name": "resnet8", "runs": 1, "model__norm_group": 4},  # a part has whole groups
        {"model__name": "lenet5", "optimizer__sam_radius": 0.05, "mesh__data": 2},
    ],
    ids=lambda network: "-".join(map(str, network.values())),
)
def test_a_batch_in_parts_is_the_batch(network):
    """To rounding, which batch norm of four examples makes larger with every step."""
    steps, rtol = (3, 1e-5) if network["model__name"] == "lenet5" else (1, 2e-4)
    whole, of_whole = train_steps(make_config(**PAIRS | network), steps)
    parted, of_parts = train_steps(make_config(**PAIRS | network, optimizer__accumulate=4), steps)
    assert_close(parted.params, whole.params, rtol=rtol)
    assert_close(of_parts, of_whole, rtol=1e-5)


def test_the_more_parts_the_less_memory():
    """What a part computes is gone when the next begins, and of its gradients the sum is left."""

    def temporary(parts):
        smallest = {"model__name": "resnet8", "runs": 1, "batch_size": 64}
        config = make_config(**smallest, optimizer__accumulate=parts)
        return _compiled_step(config).memory_analysis().temp_size_in_bytes

    assert temporary(1) > temporary(4) > temporary(32)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_other_optimisers_train_each_model_as_if_alone(name):
    """Members that do not agree are baselines, whatever state their optimiser keeps."""
    chosen = {"optimizer__name": name, "optimizer__learning_rate": 0.01}
    pair, _ = train_steps(make_config(**PAIRS | {"method__beta": 0.0}, **chosen), 3)
    single, _ = train_steps(make_config(**chosen), 3)
    assert_close(jax.tree.map(lambda x: x[:, :1], pair.params), single.params, rtol=1e-6)


def test_clipping_is_per_member():
    """Every member's first update is as long as the limit, whatever the other's gradient is."""
    limit, rate = 1e-3, 0.05
    config = make_config(
        **PAIRS,
        optimizer__clip_norm=limit, optimizer__learning_rate=rate, optimizer__nesterov=False,
        optimizer__weight_decay=0.0, optimizer__momentum=0.0,
    )  # fmt: skip
    begun = jax.device_get(make_experiment(config).init_state())
    moved, _ = train_steps(config, 1)
    squares = [
        np.square(np.float64(new) - old).reshape(*old.shape[:2], -1).sum(-1)
        for new, old in zip(
            jax.tree.leaves(moved.params), jax.tree.leaves(begun.params), strict=True
        )
    ]
    np.testing.assert_allclose(np.sqrt(sum(squares)), np.full((2, 2), rate * limit), rtol=1e-3)


def test_tests_of_equal_bits_compile_as_users_do(as_users_compile):
    """As a process that has no XLA flags; without the optimiser the bits are others."""
    code = """
import jax
jax.config.update("jax_num_cpu_devices", 8)
from tests.fixtures.experiments import make_config, train_steps
state, _ = train_steps(make_config(), 3)
print(b"".join(leaf.tobytes() for leaf in jax.tree.leaves(state.params)).hex())
"""

    def bits():
        state, _ = train_steps(make_config(), 3)
        return b"".join(leaf.tobytes() for leaf in jax.tree.leaves(state.params)).hex()

    user = [sys.executable, "-c", code]
    told = subprocess.run(user, cwd=ROOT, check=True, capture_output=True, text=True)
    assert bits() == told.stdout.strip()


def test_the_streaming_step_trains_as_the_resident_one_does():
    resident, _ = train_steps(make_config(), 3)
    streamed, _ = train_steps(make_config(data__pipeline="streaming"), 3)
    assert_close(streamed.params, resident.params, rtol=1e-6)


@pytest.mark.usefixtures("as_users_compile")
def test_members_that_exchange_parts_of_a_batch_train_as_those_that_have_it_all(monkeypatch):
    """Each member's device is fed a part of its examples, as where they are on other hosts."""
    settings = {"runs": 1, "data__pipeline": "streaming"}
    whole, _ = train_steps(on_mesh((1, 2, 2), **settings), 3)
    monkeypatch.setattr(sharding, "fed_spec", lambda mesh, batch_size: sharding.FED)
    fed, _ = train_steps(on_mesh((1, 2, 2), **settings), 3)
    assert_equal(fed.params, whole.params)


def test_activations_are_computed_once_on_cpu_and_left_to_the_compiler_elsewhere():
    """XLA's CPU backend drops barriers before it fuses, unless asked: see `layers.materialised`."""
    experiment = make_experiment(make_config(model__name="resnet8"))
    traced = experiment.resident_step.trace(
        experiment.abstract_state(), experiment.abstract_source()
    )
    lowered = traced.lower()
    ours = lowered.compile()
    dropped = lowered.compile(compiler_options={"xla_disable_hlo_passes": ""})
    kept, without = (program.cost_analysis()["flops"] for program in (ours, dropped))
    if jax.__version_info__ < (0, 12):
        assert kept < without
    else:  # jaxlib 0.12.0.1 counts the same arithmetic with barriers and without
        assert kept <= without
    assert "optimization_barrier" not in traced.lower(lowering_platforms=("tpu",)).as_text()


def test_a_sharpness_aware_step_takes_the_gradient_of_the_moved_weights():
    """Of plain steps alone: one says the gradient, one from there says that of the moved pair."""
    plain = {
        **PAIRS, "method__beta_ramp": "constant", "optimizer__learning_rate": 1.0,
        "optimizer__momentum": 0.0, "optimizer__nesterov": False, "optimizer__weight_decay": 0.0,
    }  # fmt: skip
    radius = 0.5
    experiment = make_experiment(make_config(**plain))

    def stepped(params):
        """The float64 weights after one plain step from those on the host."""
        state = experiment.init_state()
        if params is not None:
            moved = jax.tree.map(lambda new, old: jax.device_put(np.float32(new), old.sharding),
                                 params, state.params)  # fmt: skip
            state = dataclasses.replace(state, params=moved)
        state, _ = make_feed(experiment, digits(64), 0).advance(state, 0)
        return jax.tree.map(np.float64, jax.device_get(state.params))

    start = jax.tree.map(np.float64, jax.device_get(experiment.init_state().params))
    grads = jax.tree.map(np.subtract, start, stepped(None))
    squares = [(g**2).reshape(*g.shape[:2], -1).sum(2) for g in jax.tree.leaves(grads)]
    norms = np.sqrt(sum(squares))  # [run, member]

    def move(w, g):
        return w + radius * g / norms.reshape(*norms.shape, *[1] * (g.ndim - 2))

    moved = jax.tree.map(move, start, grads)
    there = jax.tree.map(np.subtract, moved, stepped(moved))
    expected = jax.tree.map(np.subtract, start, there)
    aware, _ = train_steps(make_config(**plain, optimizer__sam_radius=radius), 1)
    assert_close(aware.params, expected, rtol=1e-4)
    changed = [
        np.abs(a - g).max() for a, g in zip(*map(jax.tree.leaves, (there, grads)), strict=True)
    ]
    assert max(changed) > 1e-2  # the two gradients differ by far more


def test_sharpness_aware_steps_do_not_depend_on_the_mesh():
    whole, _ = train_steps(on_mesh((1, 1, 1), optimizer__sam_radius=0.1), 3)
    split, _ = train_steps(on_mesh((2, 2, 2), optimizer__sam_radius=0.1), 3)
    assert_close(split.params, whole.params, rtol=1e-5)
