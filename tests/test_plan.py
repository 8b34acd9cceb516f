"""The planner's command and what it compiles; the TPU compiler is skipped where it isn't."""

import dataclasses
import importlib.util
import json

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import pallas as pl

from churn_jax.data.outline import outline
from churn_jax.errors import UserError
from churn_jax.methods import catalogue
from churn_jax.parallel import sharding
from churn_jax.planner import arithmetic, compiling, text
from churn_jax.planner.chips import GIB
from churn_jax.planner.estimate import CollectiveGroup, Estimate, Memory
from churn_jax.planner.program import Program
from tests.fixtures.configs import data_config
from tests.fixtures.experiments import make_config, make_experiment, run_module

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: the extra [tpu]"
)
WHOLE = dict.fromkeys(("mesh__run", "mesh__member", "mesh__data"), 0)
TINY = ["--config=configs/digits.py:codistill_skl,tiny", "--config.runs=8"]


def plan(*arguments):
    return run_module("churn_jax.plan", *arguments, timeout=300)


@needs_libtpu
def test_a_tiny_step_is_compiled_for_a_v3(tmp_path):
    result = plan(*TINY, "--topology=v3-8", f"--json={tmp_path / 'plan.json'}")
    assert result.returncode == 0, result.stderr
    figures = json.loads((tmp_path / "plan.json").read_text())
    assert figures["topology"] == "v3:2x2x1"
    assert figures["mesh"] == {"run": 8, "member": 1, "data": 1}
    assert (figures["chips"], figures["devices"]) == (4, 8)
    assert 0 < figures["memory"]["total"] < figures["memory"]["available"] == 16 * GIB
    assert figures["step_seconds"] == pytest.approx(sum(figures["seconds_by_kind"].values()))
    assert figures["step_seconds"] > figures["limit_seconds"] > 0
    assert figures["collectives"] == []
    assert "8 runs × 2 members of lenet5 on digits" in result.stdout
    assert "estimate, not a measurement" in result.stdout


@needs_libtpu
def test_a_packed_step_counts_the_arithmetic_of_the_plain_one():
    """A packed kernel's zeros are work for the chip, and none that the mathematics needs."""
    config = make_config(model__name="resnet_v2_18", runs=1, batch_size=2)
    compiled = compiling.compile_step(config, compiling.slice_devices("v3:2x2x1"))
    assert compiled.experiment.recipe.model.network.module.columns == 2
    on_cpu = make_experiment(config)
    assert on_cpu.recipe.model.network.module.columns == 1
    traced = on_cpu.resident_step.trace(on_cpu.abstract_state(), on_cpu.abstract_source())
    assert compiled.flops == arithmetic.flops(traced.jaxpr.jaxpr)


@needs_libtpu
def test_a_slice_that_libtpu_refuses_is_one_line_with_the_nearest():
    with pytest.raises(UserError, match=r"not divisible.*did you mean 'v3:4x4x1'") as error:
        compiling.slice_devices("v3:3x4x1")
    assert "\n" not in str(error.value)


@needs_libtpu
@pytest.mark.parametrize(
    "topology", ["v3:4x4x1", "v4:2x2x2", "v5e:4x4", "v5p:2x2x2", "v6e:4x4", "tpu7x:2x2x2"]
)
@pytest.mark.parametrize("runs", [1, 3])
def test_a_pair_is_laid_out_over_every_kind_of_slice(topology, runs):
    devices = compiling.slice_devices(topology)
    config = make_config(runs=runs, batch_size=48, method__members=2, **WHOLE)
    mesh = sharding.make_mesh(config, devices)
    assert mesh.size == min(len(devices), 2 * 48)
    assert len(set(mesh.devices.flat)) == mesh.size


@needs_libtpu
def test_a_kernel_of_ones_own_is_not_free():
    """The TPU compiler says no time of it."""

    def kernel(x, out):
        out[...] = x[...] * 2.0

    def step(x):
        doubled = pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(x)
        return jnp.sin(doubled).sum(0)

    device = jax.sharding.SingleDeviceSharding(compiling.slice_devices("v5e:2x2")[0])
    program = jax.jit(step, in_shardings=device, out_shardings=device)
    compiled = program.lower(jax.ShapeDtypeStruct((256, 512), jnp.float32)).compile()
    found = Program(compiled.as_text())
    assert found.unknown() == {"tpu_custom_call": 1}
    (reckoned,) = (timed for timed in found.timeline() if timed.kind == "reckoned")
    assert reckoned.bytes == 2 * 256 * 512 * 4
    assert reckoned.cycles > 0


def test_without_libtpu_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install '\.\[tpu\]'"):
        compiling.slice_devices("v3:2x2x1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topology=v3-8"], "--config is missing"),
        ([*TINY], "--topology is missing"),
        ([*TINY, "--topology=v3-9"], "did you mean 'v3-8'"),
        ([*TINY, "--topology=v3-8", "--config.batchsize=3"], "batch"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    result = plan(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "imagenet", "fashion_mnist"])
def test_published_data_sets_are_known_without_their_files(name):
    found = outline(dataclasses.replace(data_config(), name=name, dir="/nowhere"))
    assert found.info.name == name
    assert found.num_train >= 50_000
    assert found.in_memory == (name != "imagenet")


def test_an_outline_keeps_what_the_config_keeps():
    data = dataclasses.replace(data_config(), name="cifar10", num_validation=5_000, image_size=16)
    found = outline(data)
    assert (found.num_train, found.info.image_shape) == (45_000, (16, 16, 3))
    with pytest.raises(UserError, match="50000 training examples"):
        outline(dataclasses.replace(data, num_train=50_000))


def test_the_outline_of_what_comes_along_is_that_of_the_data():
    config = make_config()
    found, real = outline(config.data), make_experiment(config)
    assert (found.info, found.num_train, found.in_memory) == (real.info, real.num_train, True)


def test_abstract_inputs_are_those_of_training():
    """The step is compiled for exactly what the feeds hand it."""
    config = make_config(runs=1)
    experiment = make_experiment(config)
    source = experiment.abstract_source()
    assert source.images.shape == (64, 64)
    assert experiment.resident_step.lower(experiment.abstract_state(), source)
    assert experiment.abstract_batch().images.shape == (1, 16, 8, 8, 1)


def test_a_config_that_does_not_fit_says_by_how_much_and_what_to_change():
    experiment = make_experiment(make_config(runs=8))
    message = compiling.does_not_fit(experiment, used=24 * GIB, available=16 * GIB)
    assert message.startswith("it does not fit: a core needs 24.0 GiB and has 16.0, 8.0 too many")
    assert "--config.runs=5" in message
    assert "--config.batch_size=8" in message


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (22.15G) exceeds available HBM (15.48G).",
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 22.15G of 15.48G hbm.",
    ],
)
def test_both_ways_in_which_libtpu_says_so_are_read(message):
    used, available = compiling.read_memory_needed(message)
    assert (used, available) == (22.15 * GIB, 15.48 * GIB)
    assert compiling.read_memory_needed("INTERNAL: something else") is None


def test_the_table_for_a_person():
    config = dataclasses.replace(make_config(), method=catalogue.method("baseline", {}, 2.0))
    shown = text.describe(ESTIMATE, config, "v3:2x2x1")
    assert "6.00 of 16.0 GiB (38%)" in shown
    assert "3 all-reduce over data, 12 MB a step: 1.5 ms alone in a ring" in shown
    assert "2 cores, 123 TFLOP/s" in shown
    assert "warning: the compiler says no time of custom calls: tpu_custom_call (2 a step)" in shown
    known = text.describe(dataclasses.replace(ESTIMATE, unknown={}), config, "v3:2x2x1")
    assert "warning" not in known
    assert "arithmetic 10 ms, traffic 20 ms; the step takes 2.00 × the larger (traffic)" in shown
    assert "25% of the arithmetic peak" in shown
    assert "the paper" not in shown  # it says nothing of the digits


ESTIMATE = Estimate(
    devices=8,
    chips=4,
    mesh={"run": 2, "member": 2, "data": 2},
    pipeline="resident",
    memory=Memory(2 * GIB, 3 * GIB, GIB, 16 * GIB),
    flops=615_000_000_000,
    bytes=9_000_000_000,
    collectives=(CollectiveGroup("all-reduce", ("data",), 4_000_000, 3, 1.5e-3),),
    step_seconds=0.04,
    compute_seconds=0.01,
    memory_seconds=0.02,
    seconds_by_kind={"convolutions": 0.03, "elementwise": 0.01},
    unknown={"tpu_custom_call": 2},
    chip="2 cores, 123 TFLOP/s",
    slowest=(("Net/conv (convolutions)", 0.02),),
    total_steps=90_000,
    hours=1.0,
)
