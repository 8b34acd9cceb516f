"""Runs that share all randomness: they stay equal, or part by what one ulp becomes."""

import json

import jax
import numpy as np
import pytest

from churn_jax import config as config_lib
from churn_jax import metrics as measures
from churn_jax import random_streams
from churn_jax.predictions import prediction_file
from churn_jax.training import loop, metrics_log, weight_distances
from tests.fixtures.experiments import make_config, make_experiment


def held(**overrides):
    return make_config(randomness__vary=(), log_distances=True, **overrides)


def distance_lines(workdir):
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "distance"]


@pytest.fixture(scope="module", params=["none", "one_ulp"])
def trained(request, tmp_path_factory):
    workdir = tmp_path_factory.mktemp(request.param)
    loop.train(held(runs=3, randomness__perturb=request.param), workdir)
    return request.param, workdir


def test_held_runs_never_part_and_one_ulp_parts_them(trained):
    perturb, workdir = trained
    lines = distance_lines(workdir)
    assert [line["step"] for line in lines] == list(range(9))
    for name in ("relative_l2", "max_abs"):
        values = np.array([line[name] for line in lines])
        assert values.shape == (9, 3)
        assert (values[:, 0] == 0).all()
        assert (values[:, 1:] > 0).all() if perturb == "one_ulp" else (values == 0).all()
    files = [
        prediction_file.step_dir(workdir, 8) / prediction_file.file_name(run) for run in range(3)
    ]
    first, *others = (np.exp(prediction_file.read(path).counted()) for path in files)
    if perturb == "none":
        assert all(measures.churn(first, other) == 0 for other in others)
        assert all((first == other).all() for other in others)
    else:
        assert all((first != other).any() for other in others)


def test_distances_grow_from_one_ulp(trained):
    perturb, workdir = trained
    lines = distance_lines(workdir)
    if perturb == "one_ulp":
        first, last = (max(lines[place]["relative_l2"]) for place in (0, -1))
        assert 0 < first < 1e-7
        assert last > 3 * first


@pytest.mark.parametrize("model", ["lenet5", "resnet8"])
def test_one_ulp_moves_one_weight_of_every_run_but_run_0(model):
    overrides = {"runs": 3, "model__name": model, "first_run": 0, "method__members": 2}
    plain = make_experiment(held(**overrides)).init_state().params
    moved = make_experiment(held(**overrides, randomness__perturb="one_ulp")).init_state().params
    places = [[] for _ in range(3)]
    for name, (old, new) in enumerate(zip(*map(jax.tree.leaves, (plain, moved)), strict=True)):
        old, new = np.asarray(old), np.asarray(new)
        for place in np.argwhere(old != new):
            assert new[tuple(place)] == np.nextafter(old[tuple(place)], np.float32(np.inf))
            places[place[0]].append((name, *place[1:].tolist()))
    assert [len(of_run) for of_run in places] == [0, 1, 1]
    assert places[1] != places[2]


def test_a_runs_ulp_does_not_depend_on_the_runs_beside_it():
    params = {"kernel": jax.numpy.linspace(1, 2, 12).reshape(1, 3, 4)}
    alone = random_streams.move_one_ulp(params, 5)["kernel"]
    beside = jax.vmap(random_streams.move_one_ulp, (None, 0))(params, np.arange(7))["kernel"][5]
    np.testing.assert_array_equal(alone, beside)


def test_distances_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    params = {"a": rng.normal(size=(3, 2, 4)), "b": rng.normal(size=(3, 2, 5, 2))}
    found = jax.jit(weight_distances.distances)(params)
    flat = np.concatenate([leaf.reshape(3, -1) for leaf in params.values()], axis=1)
    expected = np.linalg.norm(flat - flat[0], axis=1) / np.linalg.norm(flat[0])
    np.testing.assert_allclose(found["relative_l2"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["max_abs"], np.abs(flat - flat[0]).max(1), rtol=1e-6)


def test_distances_are_due_often_at_first_and_then_at_two_leading_digits():
    steps = [step for step in range(2501) if weight_distances.due(step, 2401)]
    assert steps[:101] == list(range(101))
    assert steps[101:104] == [110, 120, 130]
    assert steps[-6:] == [2100, 2200, 2300, 2400, 2401, 2500]


def test_a_log_begun_again_has_no_line_twice(tmp_path):
    for _ in range(2):
        with metrics_log.MetricsLog(tmp_path, 0) as log:
            log.write("distance", 0, 0.0, {"max_abs": np.zeros(2)})
    assert len(distance_lines(tmp_path)) == 1
    with metrics_log.MetricsLog(tmp_path, 5):
        pass
    assert len(distance_lines(tmp_path)) == 1


def test_logging_distances_changes_no_run_and_keys_at_their_first_values_no_hash():
    plain = make_config()
    assert config_lib.config_hash(make_config(log_distances=True)) == config_lib.config_hash(plain)
    for changed in ({"randomness__perturb": "one_ulp"}, {"deterministic": True}):
        assert config_lib.config_hash(make_config(**changed)) != config_lib.config_hash(plain)


@pytest.mark.parametrize("platform", weight_distances.DETERMINISTIC_OPTIONS)
def test_the_compiler_knows_what_is_asked_for_deterministic_kernels(platform):
    options = weight_distances.DETERMINISTIC_OPTIONS[platform]
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_asking_for_deterministic_kernels_says_what_it_does(tmp_path, capsys):
    loop.train(make_config(deterministic=True, epochs=0.25), tmp_path)
    assert "deterministic: nothing to ask of cpu" in capsys.readouterr().err
    assert "asked of the compiler" in weight_distances.note("gpu")
