"""Methods in training: what reaches which network; and teachers."""

import dataclasses

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from churn_jax import data
from churn_jax.errors import UserError
from churn_jax.methods.objectives import Objective
from churn_jax.parallel import sharding
from churn_jax.predictions import prediction_file
from churn_jax.training import checkpoints, loop, teachers
from churn_jax.training.experiment import Experiment
from tests.fixtures.training import digits_config, take_steps

DISTILLATION = Objective(label="ensemble_distill", teacher_weight=0.9, temperature=3.0)


@pytest.mark.usefixtures("as_users_compile")
def test_equation_9_without_weight_trains_the_baseline_of_each_member():
    apart = take_steps(digits_config(method=Objective(members=2)), 4)[-1]
    pair = Objective(members=2, agreement="symmetric_kl", beta=0.0)
    together = take_steps(digits_config(method=pair), 4)[-1]
    jax.tree.map(assert_array_equal, together.params, apart.params)


def test_stale_peers_change_only_every_so_many_steps():
    objective = Objective(
        members=2, agreement="symmetric_kl", update="stale", beta=1.0, refresh_steps=3
    )
    states = take_steps(digits_config(method=objective), 7)
    peers = [jax.tree.leaves(state.peers["params"])[0] for state in states]
    params = [jax.tree.leaves(state.params)[0] for state in states]
    # State n is that after n steps; the copies are refreshed before steps 0, 3 and 6.
    for after, copied_at in ((1, 0), (2, 0), (3, 0), (4, 3), (5, 3), (6, 3), (7, 6)):
        assert_array_equal(peers[after], params[copied_at])


@pytest.fixture(scope="module")
def baseline_dir(tmp_path_factory):
    """Four finished baseline runs: the teachers of two students."""
    folder = tmp_path_factory.mktemp("baseline")
    loop.train(digits_config(runs=4, epochs=1.0), folder)
    return folder


def student(teachers_dir, **overrides):
    method = dataclasses.replace(DISTILLATION, teachers=str(teachers_dir))
    return digits_config(**({"method": method, "runs": 2, "epochs": 1.0, "seed": 1} | overrides))


def experiment_of(config):
    dataset = data.load(config.data)
    return Experiment(config, dataset.info, len(dataset.train), sharding.make_mesh(config))


def test_each_student_learns_from_teachers_of_its_own(baseline_dir, tmp_path):
    config = student(baseline_dir)
    loop.train(config, tmp_path)
    ours, theirs = experiment_of(config), experiment_of(digits_config(runs=4, epochs=1.0))
    with checkpoints.Checkpoints(tmp_path) as found:
        taught = found.restore(3, ours.abstract_state())
    with checkpoints.Checkpoints(baseline_dir) as found:
        baseline = found.restore(3, theirs.abstract_state())
    for teacher, trained in zip(
        jax.tree.leaves(taught.teachers["params"]), jax.tree.leaves(baseline.params), strict=True
    ):
        by_student = np.asarray(teacher).reshape(4, *teacher.shape[2:])
        assert_array_equal(by_student, np.asarray(trained)[:, 0])
    assert len(list(prediction_file.step_dir(tmp_path, 3).iterdir())) == 2


def test_students_use_each_teacher_once():
    used = teachers.teachers_of(np.arange(5, 15), 2).ravel()
    assert_array_equal(used, np.arange(10, 30))


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ({"runs": 3}, r"lacks the baseline runs 4 to 5; make them with `python -m churn_jax.main .*"
                      r"--config=configs/digits.py:baseline --config.runs=2 --config.first_run=4"),
        ({"seed": 0}, "config.seed: 0 is that of the teachers"),
        ({"batch_size": 24}, "not baselines of the student's recipe: batch_size: 16 -> 24"),
    ],
)  # fmt: skip
def test_teachers_that_will_not_do_are_refused(baseline_dir, tmp_path, overrides, fault):
    with pytest.raises(UserError, match=fault):
        loop.train(student(baseline_dir, **overrides), tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("named", ["", "nowhere"])
def test_missing_teachers_name_the_command_that_makes_them(tmp_path, named):
    config = student(tmp_path / named if named else "")
    with pytest.raises(UserError, match=r"make them with `python -m churn_jax.main .*:baseline"):
        loop.train(config, tmp_path / "out")
    assert not any(tmp_path.iterdir())
