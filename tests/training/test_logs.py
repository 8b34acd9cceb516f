"""What a training says of itself beside metrics.jsonl: other logs, a trace, where its time went."""

import datetime
import importlib.util
import json
import socket
import struct

import numpy as np
import pytest

from churn_jax import evaluate
from churn_jax.config import check_values
from churn_jax.errors import UserError
from churn_jax.methods.schedules import Length
from churn_jax.storage.workdir import read_metrics, read_times
from churn_jax.training import log_sinks, loop, profiling, spent
from churn_jax.training.optimizer import learning_rates
from churn_jax.training.profiling import Profile
from tests.fixtures.experiments import make_config

SMALL = {
    "model__name": "mlp",
    "model__width": 8,
    "data__crop": "none",
    "data__flip": False,
    "log_every": 2,
    "eval_every": 1.0,
    "method__members": 2,
    "method__agreement": "symmetric_kl",
    "method__beta": 0.5,
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A training of three runs that was watched in every way."""
    workdir = tmp_path_factory.mktemp("watched") / "w"
    loop.train(make_config(**SMALL, runs=3, log_to=("tensorboard",), profile=(3, 4)), workdir)
    return workdir


def events(path):
    """(step, tag, value) of an event file: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        content = content[16 + length :]
    return found


def test_tensorboard_has_the_means_over_runs_without_tensorflow(watched):
    assert importlib.util.find_spec("tensorflow") is None
    (path,) = watched.glob("events.out.tfevents.*")
    found = {(step, tag): value for step, tag, value in events(path)}
    lines = read_metrics(watched)
    for line in lines:
        per_run = np.array(line["accuracy"])
        for member in (0, 1):
            tag = f"{line['kind']}/accuracy/member_{member}"
            assert found[line["step"], tag] == pytest.approx(per_run[:, member].mean(), rel=1e-6)
    assert found[8, "train/learning_rate"] == pytest.approx(lines[-2]["learning_rate"])


def test_the_learning_rate_of_a_line_is_that_of_its_step(watched):
    """Two epochs of four steps: two of warm-up, then the peak, then a tenth of it from step 6."""
    rates = {"warmup_epochs": 0.5, "decay_epochs": (1.5,), "learning_rate": 0.1}
    config = make_config(**{f"optimizer__{key}": value for key, value in rates.items()})
    found = learning_rates(config, Length(steps_per_epoch=4, total_steps=8))
    np.testing.assert_allclose(found, [0.05, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6)
    logged = [line["learning_rate"] for line in read_metrics(watched) if line["kind"] == "train"]
    np.testing.assert_allclose(logged, 0.05, rtol=1e-6)


def test_the_steps_that_are_asked_for_are_traced(watched):
    assert list((watched / "profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize("steps", [(3,), (0, 2), (5, 4), (1, 2, 3)])
def test_no_steps_to_trace_are_refused(steps):
    with pytest.raises(UserError, match=r"config\.profile: .* not the first and the last"):
        check_values(make_config(profile=steps))


def test_a_log_that_is_not_known_or_not_there_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"config\.log_to: unknown log 'tensorbord'.*tensorboard"):
        make_config(log_to=("tensorbord",))
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(UserError, match=r"config\.log_to: mlflow can't be imported.*pip install"):
        log_sinks.open_sinks(tmp_path, make_config(log_to=("mlflow",)))


def test_a_log_that_breaks_stops_nothing_and_says_so_once(capsys):
    class Broken:
        def write(self, step, scalars):
            raise ConnectionError("the service is gone\nand more")

        close = None

    sink = log_sinks.Guarded("wandb", Broken())
    for step in (1, 2):
        log_sinks.write_all([sink], "train", step, {"accuracy": np.ones((2, 1))})
    sink.close()
    said = capsys.readouterr().err
    assert said.count("wandb: the service is gone; no more goes there") == 1


def test_means_leave_out_what_is_not_finite():
    metrics = {"nll": np.array([[1.0, np.nan], [3.0, np.nan]]), "rate": 0.5}
    assert log_sinks.scalars("eval", metrics) == {"eval/nll/member_0": 2.0, "eval/rate": 0.5}


def test_the_parts_of_the_time_add_up(watched, capsys):
    (line,) = read_times(watched)
    assert (line["from_step"], line["to_step"]) == (0, 8)
    assert (line["away"], line["lost_steps"]) == (0, 0)
    assert set(line["seconds"]) == set(spent.PARTS)
    assert all(value >= 0 for value in line["seconds"].values())
    assert line["seconds"]["compiling"] > 0
    alone = spent.Spent()
    alone.go_on(watched / "elsewhere", 0, 0)
    alone.train(iter([7.0, 1e9, 1e9]).__next__)  # 7 s before the first step are none of training's
    alone.end(watched / "elsewhere", 4)
    (found,) = read_times(watched / "elsewhere")
    assert found["seconds"]["training"] == 0  # all of it waited for data
    assert "in all (0% of it training)" in capsys.readouterr().err


def test_what_kills_cost_is_known(tmp_path, capsys, monkeypatch):
    """12 steps, a checkpoint every 4, cut off in step 8 (the log tells of 6) and in step 12."""
    seconds = [0.0]
    monkeypatch.setattr(spent.time, "monotonic", lambda: seconds[0])
    began = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    class Clock(datetime.datetime):
        @classmethod
        def now(cls):
            return began + datetime.timedelta(seconds=seconds[0])

    monkeypatch.setattr(spent.datetime, "datetime", Clock)

    def process(first, logged, *checkpoints, starts, until):
        """10 s of start, 5 of compiling, then a step every 2 s."""
        seconds[0] = starts
        found = spent.Spent()
        seconds[0] += 10
        found.go_on(tmp_path, first, logged)
        found.begin("compiling")
        seconds[0] += 5
        found.train(lambda: 0.0)
        for step in range(first + 2, until + 1):
            seconds[0] += 2
            if step in checkpoints:
                found.keep(tmp_path, step)
        return found

    process(0, 0, 4, starts=0, until=7)  # its checkpoint is at 10 + 5 + 6 = 21
    process(4, 6, 8, starts=100, until=11)
    process(8, 10, starts=200, until=12).end(tmp_path, 12)
    lines = read_times(tmp_path)
    assert [(line["from_step"], line["to_step"]) for line in lines] == [(0, 4), (4, 8), (8, 12)]
    assert [line["lost_steps"] for line in lines] == [0, 2, 2]
    assert [line["away"] for line in lines] == [0, 100 - 21, 100 - 21]
    assert [line["seconds"]["training"] for line in lines] == [6, 6, 6]
    said = capsys.readouterr().err
    assert "with 2 before this start: 1:03 of work and 2:38 between, 4 steps done again" in said
    assert "8% of it training that counts" in said  # 18 s of 63 + 158


def test_of_several_processes_one_writes(tmp_path, monkeypatch):
    for first, last in ((0, 4), (4, 8)):
        for writes in (True, False):
            monkeypatch.setattr(spent, "is_first", lambda writes=writes: writes)
            found = spent.Spent()
            found.go_on(tmp_path, first, 0)
            found.train(lambda: 0.0)
            found.end(tmp_path, last)
    assert [line["to_step"] for line in read_times(tmp_path)] == [4, 8]


def test_a_checkpoint_that_was_not_finished_is_work_in_vain(tmp_path):
    for first, last in ((0, 8), (4, 8)):
        found = spent.Spent()
        found.go_on(tmp_path, first, 0)
        found.train(lambda: 0.0)
        found.keep(tmp_path, last)
    assert [line["lost_steps"] for line in read_times(tmp_path)] == [0, 4]


def test_xprof_finds_a_server_where_one_is_asked_for(capsys):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        refused = pytest.raises(UserError, match=rf"config\.profile_port: {port} can't be had here")
        with refused, profiling.server(port):
            pass
    with profiling.server(port):
        socket.create_connection(("localhost", port), timeout=5).close()
        assert f"port {port}" in capsys.readouterr().err
    with profiling.server(0):
        assert capsys.readouterr().err == ""


def test_curves_are_means_over_runs_of_each_member(watched, tmp_path):
    report = evaluate.evaluate([watched], tmp_path)
    curves = {(c.measure, c.member): c for c in report.learning}
    lines = [line for line in read_metrics(watched) if line["kind"] == "train"]
    for member in (0, 1):
        losses = np.array([line["cross_entropy"] for line in lines])[:, :, member]
        curve = curves["train/cross_entropy", member]
        assert curve.epochs == (0.5, 1.0, 1.5, 2.0)
        np.testing.assert_allclose(curve.mean, losses.mean(1), rtol=1e-5)
        np.testing.assert_allclose(curve.std, losses.std(1, ddof=1), rtol=1e-4)
    assert curves["train/learning_rate", None].std == (0.0,) * 4
    page = (tmp_path / "report.html").read_text()
    for title in ("Accuracy over training", "Loss over training", "Agreement on training batches"):
        assert title in page


def test_a_damaged_line_is_left_out_of_the_curves_and_no_log_is_no_curve(watched, tmp_path):
    log, whole = watched / "metrics.jsonl", (watched / "metrics.jsonl").read_bytes()
    try:
        first, *rest = whole.split(b"\n")
        log.write_bytes(b"\n".join([first.replace(b"0.", b"1.", 1), *rest]))
        report = evaluate.evaluate([watched], tmp_path)
        assert {len(c.epochs) for c in report.learning if c.measure == "train/accuracy"} == {3}
        log.unlink()
        assert evaluate.evaluate([watched], tmp_path).learning is None
        assert "learning" not in json.loads((tmp_path / "report.json").read_text())
    finally:
        log.write_bytes(whole)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_services_take_it_offline(name, tmp_path, monkeypatch):
    pytest.importorskip(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'tracked'}")
    config = make_config(**SMALL, log_to=(name,))
    for step in (1, 2):  # the second goes on in the run of the first
        (sink,) = log_sinks.open_sinks(tmp_path, config)
        log_sinks.write_all([sink], "train", step, {"accuracy": np.array([[0.25], [0.75]])})
        sink.close()
    if name == "mlflow":
        import mlflow

        (run,) = mlflow.MlflowClient().search_runs(["0"])
        kept = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train/accuracy")
        assert [(point.step, point.value) for point in kept] == [(1, 0.5), (2, 0.5)]
        assert run.data.params["method.beta"] == "0.5"
    else:
        identities = {path.name[-16:] for path in (tmp_path / "wandb").glob("offline-run-*")}
        assert len(identities) == 1


def test_steps_beyond_the_end_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(
        UserError, match=r"config\.profile: \(3, 9\) is beyond .* which has 8 steps"
    ):
        loop.train(make_config(**SMALL, profile=(3, 9)), tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_steps_that_were_done_before_are_not_traced_and_that_is_said(tmp_path, capsys):
    profile = Profile(tmp_path, (3, 9), done=4)
    for step in range(5, 10):
        profile.before(step)
        profile.after(step, None)
    assert "step 3 was done before, so nothing is traced" in capsys.readouterr().err
    assert not (tmp_path / "profile").exists()
