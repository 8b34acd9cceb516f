"""What data set and devices refuse of a config, in one place and before anything is written."""

import jax
import pytest

from churn_jax.data import DatasetInfo
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.training import loop
from churn_jax.training.validation import validate, warnings
from tests.fixtures.experiments import PAIR, make_config

INFO = DatasetInfo("digits", tuple("0123456789"), (8, 8, 1), (0.5,), (0.25,))


def refusal(num_train=64, in_memory=True, devices=None, **overrides):
    config = make_config(**overrides)
    mesh = sharding.make_mesh(config, devices)
    with pytest.raises(UserError) as refused:
        validate(config, INFO, num_train, mesh, in_memory)
    return str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"batch_size": 65}, "config.batch_size: 65 is larger than the training set (64 examples"),
        ({"data__crop_padding": 9}, "config.data.crop_padding: 9 is more than the side of the"),
        ({"method__top_k": 11}, "config.method.top_k: 11 is more than the 10 classes of digits"),
        ({"epochs": 1e12}, "config.epochs: 1e+12 epochs of 4 steps are more than"),
        (
            {"optimizer__decay_epochs": (1.0, 1e12)},
            "config.optimizer.decay_epochs: 1e+12 epochs of 4 steps",
        ),
        ({"method__beta_ramp_epochs": 1e12}, "config.method.beta_ramp_epochs: 1e+12 epochs"),
        ({"data__crop": "resized"}, "config.data.crop: 'resized' needs config.data.pipeline"),
        (
            {"model__norm_group": 3},
            "config.model.norm_group: 3 does not divide the 16 examples of a batch",
        ),
    ],
    ids=str,
)
def test_the_key_and_what_it_may_be_are_named(overrides, line):
    assert refusal(**overrides).startswith(line)


def test_data_that_is_read_as_needed_is_not_resident():
    line = refusal(in_memory=False, data__pipeline="resident")
    assert line.startswith("config.data.pipeline: 'resident', but digits is read from files")


def test_a_share_of_a_batch_holds_whole_groups_or_a_part_of_one():
    line = refusal(batch_size=24, model__norm_group=8, mesh__data=2)
    assert "norm_group: 8 is neither a part nor a multiple of the 12 examples" in line


def test_parts_divide_what_a_device_holds_and_hold_whole_groups():
    line = refusal(batch_size=24, mesh__data=2, optimizer__accumulate=5)
    assert line.startswith("config.optimizer.accumulate: 5 parts do not divide the 12 examples")
    line = refusal(batch_size=24, model__norm_group=4, optimizer__accumulate=4)
    assert "norm_group: 4 is neither a part nor a multiple of the 6 examples that a device" in line


def test_teachers_are_spread_evenly_over_the_members_devices():
    taught = {"method__teacher_weight": 0.5, "method__num_teachers": 3, "mesh__member": 2}
    line = refusal(**taught, **{key.replace(".", "__"): value for key, value in PAIR.items()})
    assert line == "config.mesh.member: 2 does not divide 3 teachers"


def test_memory_is_asked_for_last():
    many = 10**9
    assert refusal(runs=many).startswith(f"config.runs: {many} would take at least")
    assert refusal(runs=many, batch_size=65).startswith("config.batch_size: 65 is larger than")


def test_what_can_be_trained_is_not_refused():
    config = make_config()
    validate(config, INFO, 64, sharding.make_mesh(config, jax.devices()[:1]), True)


def test_nothing_is_written_of_what_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"config\.method\.top_k"):
        loop.train(make_config(method__top_k=11), tmp_path / "work")
    assert list(tmp_path.rglob("*")) == []


def test_a_decay_after_the_end_is_warned_of():
    """It was meant for a longer training: `--config.epochs` scales only what is in percent."""
    shortened = make_config(epochs=2.0, optimizer__decay_epochs=(1.0, 3.0))
    (warning,) = warnings(shortened)
    assert "decay_epochs: 3 is not before the end" in warning
    assert not warnings(make_config(epochs=4.0, optimizer__decay_epochs=(1.0, 3.0)))
    (warning,) = warnings(make_config(optimizer__decay_percent=(50.0, 100.0, 120.0)))
    assert "decay_percent: 100, 120 are not before the end of training (100 percent)" in warning
    assert not warnings(make_config(optimizer__decay_epochs=(9.0,), optimizer__schedule="cosine"))


def test_a_warm_up_or_ramp_that_does_not_end_is_warned_of():
    pair = {key.replace(".", "__"): value for key, value in PAIR.items()}
    (warning,) = warnings(make_config(**pair, method__beta_ramp_epochs=2.0))
    assert warning == (
        "config.method.beta_ramp_epochs: 2 is not before the end of training (2 epochs), so beta "
        "does not reach its value; config.method.beta_ramp_percent follows the length of training"
    )
    (warning,) = warnings(make_config(optimizer__warmup_percent=100.0))
    assert warning.startswith("config.optimizer.warmup_percent: 100 is not before the end")
    assert not warnings(make_config(method__beta_ramp_epochs=2.0))  # there is no agreement
    assert not warnings(make_config(**pair, method__beta_ramp_percent=30.0))
