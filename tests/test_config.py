"""The schema: typed, checked, hashed by what matters."""

import pytest

from churn_jax import config as config_lib
from churn_jax.errors import UserError


def changed(**overrides):
    config = config_lib.default()
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in overrides.items()})
    return config_lib.check(config)


def test_the_default_config_is_the_schema_with_its_defaults():
    assert config_lib.check(config_lib.default()) == config_lib.Config()


def test_a_misspelt_key_is_refused_with_the_right_one():
    with pytest.raises(UserError, match=r"config.optimizer.momentun: .*did you mean 'momentum'\?"):
        config_lib.check({"optimizer": {"momentun": 0.9}})


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"runs": True}, "config.runs: True is not of type int"),
        ({"runs": 1.5}, "config.runs: 1.5 is not of type int"),
        ({"epochs": "ten"}, "config.epochs: 'ten' is not of type float"),
        ({"epochs": float("nan")}, "config.epochs: nan is not finite"),
        ({"epochs": 0}, "config.epochs: 0.0 is not positive"),
        ({"data": 3}, "config.data: 3 is not a group of keys"),
        ({"optimizer": {"decay_epochs": 3}}, "config.optimizer.decay_epochs: 3 is not a tuple"),
        ({"optimizer": {"weight_decay": -1.0}}, "config.optimizer.weight_decay: -1.0 is outside"),
        ({"model": {"dtype": "float16"}}, "config.model.dtype: unknown value 'float16'"),
        ({"runs": 0}, "config.runs: 0 is outside [1"),
        ({"randomness": {"vary": ("int",)}}, "unknown stream 'int' (did you mean 'init'?)"),
        ({"method": {"alpha": 1.0}}, "config.method.alpha: 1.0 is outside [0, 1)"),
        ({"method": {"beta": -1.0}}, "config.method.beta: -1.0 is outside [0"),
        ({"method": {"agreement": "l1"}}, "config.method.members: 1, but the agreement term 'l1'"),
        ({"method": {"top_k": -1}}, "config.method.top_k: -1 is outside [0"),
        ({"method": {"temperature": 0.0}}, "config.method.temperature: 0.0 is not positive"),
    ],
    ids=str,
)
def test_bad_values_are_refused_by_name(values, fault):
    with pytest.raises(UserError) as refused:
        config_lib.check(values)
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["runs", "first_run", "log_every", "mesh__data", "eval_batch_size"])
def test_what_leaves_a_run_as_it_is_leaves_the_hash(key):
    assert config_lib.config_hash(changed(**{key: 4})) == config_lib.config_hash(changed())


@pytest.mark.parametrize("key", ["seed", "batch_size", "method__members", "data__num_train"])
def test_what_changes_a_run_changes_the_hash(key):
    assert config_lib.config_hash(changed(**{key: 4})) != config_lib.config_hash(changed())


def test_a_prediction_asks_every_snapshot_of_every_member_that_counts():
    def cost(**changes):
        return changed(optimizer__schedule="cycles", optimizer__cycles=4, **changes).inference_cost

    pair = {"method__members": 2}
    assert cost() == 1
    assert cost(method__prediction="snapshots", **pair) == 4
    assert cost(method__prediction="snapshots_mean", **pair) == 8
    assert cost(method__prediction="ema_mean", **pair) == 2


def test_differences_name_key_and_both_values():
    assert config_lib.differences(changed(runs=4), changed(runs=2)) == "runs: 2 -> 4"
    assert config_lib.differences(changed(log_every=4), changed(log_every=2)) == ""
