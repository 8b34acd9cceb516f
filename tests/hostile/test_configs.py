"""Absurd configs."""

import pytest

from churn_jax import config
from churn_jax.training import devices, loop
from tests.hostile.refusals import flat, refusal

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")


# Configs: {dotted key: value}, and what the line must say.
DIGITS = {"data.name": "digits"}
HUGE = 10**6
CONFIGS = [
    *[({"runs": value}, "config.runs") for value in (0, -1, HUGE, 10**9, 2**31, 2**63, 10**30)],
    *[({"runs": value}, "config.runs") for value in (True, None, "2", 2.0, [2], {"a": 1}, b"2")],
    ({"first_run": -1}, "config.first_run"),
    ({"first_run": 2**31}, "config.first_run"),
    ({"first_run": 2**31 - 1}, "config.runs"),
    *[({"batch_size": value}, "config.batch_size") for value in (0, -5, 65, HUGE, 2**25, 10**30)],
    *[({"eval_batch_size": value}, "config.eval_batch_size") for value in (0, -1, 2**40)],
    *[({"seed": value}, "config.seed") for value in (-1, 2**32, 10**40, 0.5, "0")],
    *[({"epochs": value}, "config.epochs")
      for value in (0, -1.0, float("nan"), float("inf"), 1e30, 1e300, 10**400, "9", ())],
    *[({"log_every": value}, "config.log_every") for value in (0, -1, 1.5)],
    *[({"keep_checkpoints": value}, "config.keep_checkpoints") for value in (0, -3)],
    *[({"eval_every": value}, "config.eval_every") for value in (-1.0, float("nan"))],
    *[({"checkpoint_every": value}, "config.checkpoint_every") for value in (-1.0, 1e39)],
    *[({"deterministic": value}, "config.deterministic") for value in (1, "yes", None)],
    ({"log_distances": "no"}, "config.log_distances"),
    ({"what": 1}, "config.what"),
    ({"": 1}, "config."),
    ({"run\ns": 1}, "config.run s"),
    *[({"data.name": value}, "config.data.name")
      for value in ("", "digit", "../digits", "DIGITS", "a\nb", "é")],
    ({"data.name": 3}, "config.data.name"),
    ({"data.name": "dig\0its"}, "config.data.name"),
    *[({"data.image_size": value}, "config.data.image_size") for value in (-1, 1, 3, 4097, 10**9)],
    *[({"data.num_train": value}, "num_train") for value in (-1, 598, 10**12)],
    *[({"data.num_validation": value}, "num_validation") for value in (-1, 597, 10**12)],
    *[({"data.skip_train": value}, "skip_train") for value in (-1, 597, 10**12)],
    *[({"data.label_noise": value}, "label_noise") for value in (-0.1, 1.1, float("nan"))],
    *[({"data.crop_padding": value}, "config.data.crop_padding") for value in (-1, 9, 1024, 1025)],
    *[({"data.crop": value}, "crop") for value in ("Pad", "", "resized")],
    *[({"data.pipeline": value}, "config.data.pipeline") for value in ("fast", "")],
    *[({"data.workers": value}, "config.data.workers") for value in (-1, 257, 10**6)],
    ({"data.undecodable": "ignore"}, "config.data.undecodable"),
    ({"data": 3}, "config.data"),
    ({"data.flip": "yes"}, "config.data.flip"),
    *[({"model.name": value}, "config.model.name") for value in ("resnet9", "", "lenet5\n", "*")],
    *[({"model.dtype": value}, "config.model.dtype") for value in ("float64", "int8", "")],
    *[({"model.norm_group": value}, "config.model.norm_group") for value in (-1, 3, 10**9)],
    *[({"optimizer.learning_rate": value}, "config.optimizer.learning_rate")
      for value in (-0.1, float("nan"), float("inf"), -float("inf"), 1e39, 1e308, "fast")],
    *[({"optimizer.momentum": value}, "config.optimizer.momentum") for value in (-0.1, 1.1)],
    *[({"optimizer.weight_decay": value}, "config.optimizer.weight_decay") for value in (-1, 1e39)],
    *[({"optimizer.clip_norm": value}, "config.optimizer.clip_norm") for value in (-1, 1e300)],
    *[({"optimizer.warmup_epochs": value}, "config.optimizer.warmup_epochs")
      for value in (-1.0, 1e30, 1e300)],
    *[({"optimizer.decay_epochs": value}, "config.optimizer.decay_epochs")
      for value in (1.0, (-1.0,), (2.0, 1.0), (1.0, 1.0), ("a",), (float("nan"),), (1e30,))],
    ({"optimizer.decay_factor": -0.1}, "config.optimizer.decay_factor"),
    *[({"randomness.vary": value}, "config.randomness.vary")
      for value in ("init", ("int",), ("init", 3), None, ("init\n",))],
    *[({"randomness.perturb": value}, "config.randomness.perturb") for value in ("two_ulp", "")],
    *[({f"mesh.{axis}": value}, f"config.mesh.{axis}")
      for axis in ("run", "member", "data") for value in (-1, 3, 7, 10**9)],
    *[({"method.label": value}, "config.method.label")
      for value in ("", "a/b", "../../x", "a\nb", "x" * 101, "\x1b[31m", "\udcff")],
    *[({"method.members": value}, "config.method.members") for value in (0, -2, 129, 10**9)],
    *[({"method.alpha": value}, "config.method.alpha") for value in (-0.1, 1.0, 2.0)],
    *[({"method.beta": value}, "config.method.beta") for value in (-1.0, 1e39)],
    *[({"method.temperature": value}, "config.method.temperature") for value in (0.0, -1.0)],
    *[({"method.top_k": value}, "config.method.top_k") for value in (-1, 11, 10**9)],
    *[({"method.teacher_weight": value}, "config.method.teacher_weight") for value in (-0.1, 1.1)],
    *[({"method.num_teachers": value}, "config.method.num_teachers") for value in (0, 129)],
    *[({"method.refresh_steps": value}, "config.method.refresh_steps") for value in (0, -1)],
    *[({"method.alpha_ramp_epochs": value}, "config.method.alpha_ramp_epochs")
      for value in (-1.0, 1e30)],
    ({"method.beta_ramp_epochs": 1e30}, "config.method.beta_ramp_epochs"),
    *[({f"method.{key}": "nonsense"}, f"config.method.{key}")
      for key in ("prediction", "regularizer", "agreement", "update", "alpha_ramp", "beta_ramp")],
    *[({"method.teacher_weight": 0.9, "seed": 1, "method.teachers": value}, "method.teachers")
      for value in ("", "/nowhere", ",,,", "/dev/null", "a\nb", "x" * 5000)],
    ({"method.agreement": "l1"}, "config.method.members"),
    *[({"method.anchor": value}, "config.method.anchor") for value in ("rpc", "", "focal")],
    *[({"method.gamma": value}, "config.method.gamma") for value in (-1.0, 1e39)],
    *[({"previous.start_keep": value}, "config.previous.start_keep") for value in (-0.1, 1.1, 0.5)],
    ({"previous.source": "/nowhere/at/all"}, "nowhere"),
    ({"previous.prediction": "best"}, "config.previous.prediction"),
]  # fmt: skip


def name_of(case):
    return "-".join(f"{key}={value!r:.40}" for key, value in case[0].items())


@pytest.mark.parametrize("case", CONFIGS, ids=map(name_of, CONFIGS))
def test_absurd_configs(case, tmp_path, capsys):
    values, key = case
    workdir = tmp_path / "work"
    line = refusal(lambda: loop.train(config.check(flat(values)), workdir), capsys)
    assert key in line
    assert not workdir.exists()


def test_a_million_runs_are_refused_with_the_memory_they_would_take(tmp_path, capsys):
    values = flat({"runs": HUGE})
    line = refusal(lambda: loop.train(config.check(values), tmp_path / "w"), capsys)
    assert "config.runs: 1000000 would take at least " in line
    assert "GiB of memory" in line


def test_an_absurd_mesh_is_refused_before_its_devices_are_made(capsys):
    values = flat({"mesh.run": 1000, "mesh.data": 1000, "runs": 1000})
    assert "config.mesh" in refusal(lambda: devices.start_devices(config.check(values)), capsys)
