"""The training loop: restore, step, log, evaluate, checkpoint, predict. No mathematics."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from clu import parameter_overview
from etils import epath

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.config import Config
from churn_jax.data import Dataset
from churn_jax.errors import UserError
from churn_jax.parallel import processes, sharding
from churn_jax.predictions import origins
from churn_jax.storage import locks
from churn_jax.storage import workdir as workdir_files
from churn_jax.storage.files import out_folder
from churn_jax.system import memory
from churn_jax.system.console import is_first, say, show
from churn_jax.system.interruption import Interruption
from churn_jax.training import (
    averaging,
    inference,
    more_runs,
    prediction,
    previous,
    profiling,
    provenance,
    teachers,
    weight_distances,
)
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from churn_jax.training.failed_runs import Failures
from churn_jax.training.feeds import Metrics, make_feed
from churn_jax.training.metrics_log import MetricsLog, NoLog, open_log
from churn_jax.training.more_runs import Part
from churn_jax.training.optimizer import learning_rates
from churn_jax.training.previous import Previous
from churn_jax.training.profiling import Profile
from churn_jax.training.progress import Progress
from churn_jax.training.spent import Spent
from churn_jax.training.step import TrainState, Tree
from churn_jax.training.validation import validate, warnings


def train(config: Config, workdir: epath.PathLike) -> float | None:
    """Trains `config.runs` independent runs, or finishes them, and writes their predictions.

    A workdir that holds a checkpoint of the same config is resumed; a finished one is left alone,
    or gets the runs that it lacks: see `more_runs`.

    Returns:
      How fast it predicts, as `inference.write_predictions`.

    Raises:
      UserError: bad config, data that can't be found, or a workdir of another config or writer.
      Interrupted: a signal asked for it, and everything is saved.
    """
    workdir, wanted, spent = out_folder(workdir, "--workdir"), config, Spent()
    part = more_runs.part(wanted, workdir)
    config, folder = part.config, part.folder
    processes.agree(config.runs)  # before one of them writes what others have yet to read
    show("loading data …")
    dataset = data.load(config.data)
    show("")
    mesh, num_train = sharding.make_mesh(config), len(dataset.train)
    validate(config, dataset.info, num_train, mesh, dataset.train.in_memory)
    experiment = Experiment(config, dataset.info, num_train, mesh)
    taught_by = teachers.load(experiment)
    updated = previous.load(experiment, dataset)
    more_runs.refuse_other_config(part)
    more_runs.refuse_unfinished(part, wanted, experiment.total_steps)
    with profiling.server(config.profile_port), _one_writer(workdir):
        claim(folder, config)
        with Checkpoints(folder, config.keep_checkpoints) as checkpoints:
            state = _start(experiment, checkpoints, taught_by, updated)
            first = int(state.step)
            _say_start(experiment, first)
            state = _loop(experiment, dataset, part, checkpoints, state, updated, spent)
        spent.begin("predicting")
        pace = inference.write_predictions(
            folder, experiment, dataset, state, experiment.total_steps, updated
        )
        spent.end(folder, experiment.total_steps)
    return pace


def _one_writer(workdir: epath.Path) -> contextlib.AbstractContextManager[None]:
    return locks.hold(workdir) if is_first() else contextlib.nullcontext()


def claim(workdir: epath.Path, config: Config) -> None:
    """Marks a workdir as this config's, or raises a `UserError` that says how its own differs."""
    if workdir_files.has_config(workdir):
        more_runs.refuse_another(workdir, config)
        return
    if is_first():
        config_lib.write(workdir, config)


def _start(
    experiment: Experiment, checkpoints: Checkpoints, taught_by: Tree, updated: Previous | None
) -> TrainState:
    """The newest whole checkpoint, or a fresh state."""
    if resumed := checkpoints.resume(experiment.abstract_state()):
        return resumed
    fresh = dataclasses.replace(experiment.init_state(), teachers=taught_by)
    return previous.start(experiment, fresh, updated)


def _refuse_other_data(
    workdir: epath.Path, saved: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raises a `UserError` if data or previous model are not what the training began with."""
    if saved.get("previous") != now.get("previous"):
        raise UserError(
            f"--workdir={workdir} goes on with another previous model than it began with: give "
            "config.previous.source the same, or another --workdir"
        )
    for key, name in (("train_fingerprint", "training"), ("data_fingerprint", "test")):
        if saved.get(key, now[key]) != now[key]:
            raise UserError(
                f"--workdir={workdir} goes on with other {name} data than it began with ({key} "
                f"{saved[key]} -> {now[key]}): give it the same files, or another --workdir"
            )


def _refuse_other_settings(
    workdir: epath.Path, saved: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raises a `UserError` if settings would change the program; says what else is another."""
    if refused := origins.changes(saved, now, ("settings",)):
        raise UserError(
            f"--workdir={workdir} goes on under other settings than it began with "
            f"({', '.join(refused)}): set them as they were, or give another --workdir"
        )
    if said := origins.changes(saved, now, ("versions", "platform", "machine", "topology")):
        say(f"goes on elsewhere than it began, bits may differ: {', '.join(said)}")


def _say_start(experiment: Experiment, step: int) -> None:
    config, shape = experiment.config, experiment.mesh.shape
    begun = f", resuming at step {step}" if step else ""
    networks = config.runs * config.method.members
    weights = parameter_overview.count_parameters(experiment.state_shapes().params) // networks
    say(
        f"{config.method.label}: {config.runs} runs × {config.method.members} members of "
        f"{config.model.name} ({weights:,} weights) on {config.data.name} "
        f"({experiment.num_train} examples), {experiment.total_steps} steps, "
        f"mesh run {shape['run']} × member {shape['member']} × "
        f"data {shape['data']} on {jax.default_backend()}{begun}"
    )
    if experiment.platform == "cpu":
        memory.advise()
    for warning in warnings(config):
        say(f"warning: {warning}")
    if config.deterministic:
        say(weight_distances.note(experiment.platform))


def _loop(
    experiment: Experiment,
    dataset: Dataset,
    part: Part,
    checkpoints: Checkpoints,
    state: TrainState,
    updated: Previous | None,
    spent: Spent,
) -> TrainState:
    workdir = part.folder
    config, total = experiment.config, experiment.total_steps
    first = int(state.step)
    made_by = provenance.describe(config, experiment.mesh, dataset)
    made_by |= {"previous": updated.origin} if updated else {}
    meta = {"provenance": made_by, "info": dataclasses.asdict(dataset.info)}
    feed = make_feed(experiment, dataset, first, updated.log_probs if updated else None)
    progress = Progress(
        config.method.label,
        first,
        total,
        config.batch_size * config.runs * config.method.members,
        waited=lambda: feed.waited,
    )
    pending: list[Metrics] = []
    for earlier in part.finished_before:
        with Checkpoints(earlier) as there:
            before = there.meta(total).get("provenance", {})
        _refuse_other_data(earlier, before, made_by)
        # The mesh follows the number of runs, on which no run depends.
        _refuse_other_settings(earlier, before, made_by | {"topology": before.get("topology")})
    if first:
        saved = checkpoints.meta(first)
        before = saved.get("provenance", {})
        _refuse_other_data(workdir, before, made_by)
        _refuse_other_settings(workdir, before, made_by)
        pending = _unlogged(saved)
    rates = learning_rates(config, experiment.length)
    with (
        contextlib.closing(Profile(workdir, config.profile, first)) as profile,
        open_log(workdir, first, config) as log,
        Interruption() as interruption,
    ):
        if first == 0:
            _log_distances(experiment, log, 0, state)
        spent.go_on(workdir, first, log.was_at)
        spent.begin("compiling")
        failures = Failures(workdir, experiment, checkpoints, log, state)
        for step in range(first + 1, total + 1):  # `step` counts finished steps
            profile.before(step)
            state, step_metrics = feed.advance(state, step - 1)
            pending.append(step_metrics)
            profile.after(step, state)
            if step == first + 1:
                jax.block_until_ready(state)
                progress.start(step)
                interruption.begin()
                spent.train(lambda: feed.waited)
            progress.tick(step)
            stop = interruption.wanted(step)
            logs = step % config.log_every == 0 or step == total
            evaluates = _due(step, config.eval_every, experiment)
            saves = stop or _due(step, config.checkpoint_every, experiment)
            if logs or evaluates or saves:
                failures.check(state)
            if logs:
                means = _means(pending)
                pending = []
                progress.report(step, means)
                of_step = means | {"learning_rate": rates[step - 1]}
                log.write("train", step, step / experiment.steps_per_epoch, of_step)
            _log_distances(experiment, log, step, state)
            if evaluates:
                progress.pause()
                with spent.on("evaluating"):
                    members = evaluate_members(experiment, state, dataset)
                evaluated = failures.hide(members, state)
                log.write("eval", step, step / experiment.steps_per_epoch, evaluated)
                progress.report(step, {f"test {name}": value for name, value in evaluated.items()})
                progress.resume()
            if saves:
                progress.pause()
                pending = [_on_host(metrics) for metrics in pending]
                with spent.on("checkpoints"):
                    saved = {"step": step, "unlogged": _listed(pending), **meta}
                    checkpoints.save(step, state, saved)
                    spent.keep(workdir, step)
                progress.resume()
            if stop:
                with spent.on("checkpoints"):
                    checkpoints.wait()
                spent.end(workdir, step)
                say(f"stopped after step {step}/{total}; the same command goes on from there")
                raise interruption.ended()
        with spent.on("checkpoints"):
            checkpoints.wait()
    return state


def _due(step: int, every_epochs: float, experiment: Experiment) -> bool:
    """Whether something done every so many epochs, and at the end, is due after `step` steps."""
    interval = round(every_epochs * experiment.steps_per_epoch) if every_epochs else 0
    return step == experiment.total_steps or (interval > 0 and step % interval == 0)


def _log_distances(
    experiment: Experiment, log: MetricsLog | NoLog, step: int, state: TrainState
) -> None:
    """Writes how far the runs have drifted apart, where the config wants it and it is due."""
    if experiment.config.log_distances and weight_distances.due(step, experiment.total_steps):
        found = sharding.to_host(experiment.distances(state.params))
        log.write("distance", step, step / experiment.steps_per_epoch, found)


def _means(pending: list[Metrics]) -> dict[str, np.ndarray]:
    """Means over the steps since the last report, float32 [run, member]."""
    fetched = [_on_host(metrics) for metrics in pending]
    return jax.tree.map(lambda *values: np.mean(values, axis=0), *fetched)


def _on_host(metrics: Metrics) -> Metrics:
    """Metrics of one step as NumPy arrays, fetched if they aren't yet."""
    return {
        name: value if isinstance(value, np.ndarray) else sharding.to_host(value)
        for name, value in metrics.items()
    }


def _listed(pending: list[Metrics]) -> list[dict[str, list]]:
    """Metrics of steps since the last report, as JSON has them."""
    return [{name: value.tolist() for name, value in metrics.items()} for metrics in pending]


def _unlogged(meta: Mapping[str, Any]) -> list[Metrics]:
    """What `_listed` has made of metrics, from a checkpoint."""
    return [
        {name: np.array(value, np.float32) for name, value in metrics.items()}
        for metrics in meta.get("unlogged", [])
    ]


def evaluate_members(
    experiment: Experiment, state: TrainState, dataset: Dataset
) -> dict[str, np.ndarray]:
    """Accuracy and negative log-likelihood of every member on the test split, [run, member]."""
    correct, own = prediction.scores(
        experiment, averaging.predicting(experiment, state, dataset), dataset.test
    )
    return {"accuracy": correct.mean(-1), "nll": -own.mean(-1, dtype=np.float64)}
