"""The model that is updated, `config.previous`: run r belongs to its run r and to no other.

It is a workdir of any architecture, or files of any framework with its predictions of the training
examples. Its log-probabilities are computed once, of the pictures as they are, and fed beside them;
its weights, where they are asked for, are where training starts or share in what predicts after it.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.config import Config, MeshConfig
from churn_jax.data import Dataset, DatasetInfo, Examples, training_fingerprint
from churn_jax.errors import UserError
from churn_jax.losses import LOG_PROBABILITY_FLOOR
from churn_jax.parallel import sharding
from churn_jax.predictions import on_examples, workdirs
from churn_jax.predictions.readers import read
from churn_jax.storage import workdir as workdir_files
from churn_jax.storage.paths import matches, split_paths
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.training import more_runs
from churn_jax.training.averaging import Weights, predicting, with_statistics
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from churn_jax.training.failed_runs import failed_runs
from churn_jax.training.neighbours import label_shares
from churn_jax.training.prediction import predict
from churn_jax.training.step import TrainState, Tree

_KEY = "config.previous.source"


@dataclasses.dataclass(frozen=True)
class Previous:
    """The previous model of every run.

    Attributes:
      origin: what it is, for the provenance: {'fingerprint', and of a workdir 'config_hash',
        'seed'}.
      log_probs: float32 [run, example, class] of the training examples, or what an anchor to their
        neighbours makes of them; None where no anchor asks.
      trained: what a workdir holds; None for files.
    """

    origin: dict[str, Any]
    log_probs: np.ndarray | None
    trained: "Trained | None"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished workdir's runs, in the order of the new ones.

    Attributes:
      experiment: that was trained; of all its runs.
      models: the weights whose mean predicts.
      rows: where each new run's previous one is among them.
      chosen: which member of each of those counts, [run]; None where that is not chosen by run.
    """

    experiment: Experiment
    models: list[Weights]
    rows: np.ndarray
    chosen: np.ndarray | None = None

    def predict(self, examples: Examples) -> np.ndarray:
        """Log-probabilities of the model that counts, float32 [run, example, class]."""
        found = predict(self.experiment, self.models, examples)[self.rows]
        if self.chosen is not None:
            return found[np.arange(len(found)), self.chosen]
        if not self.experiment.config.method.counts_mean:
            return found[:, 0]
        members = np.float32(np.log(found.shape[1]))
        return np.logaddexp.reduce(found, axis=1) - members

    def weights(self) -> Weights:
        """Of each new run's previous one, on the host, [run, member, …]."""
        if len(self.models) > 1:
            raise UserError(
                f"{_KEY}: its snapshots predict together, which are no weights to start from; "
                "config.previous.prediction='first' takes the last"
            )
        models = jax.tree.map(lambda leaf: leaf[self.rows], sharding.to_host(self.models[0]))
        if self.chosen is None:
            return models
        every = np.arange(len(self.rows))
        return jax.tree.map(lambda leaf: leaf[every, self.chosen][:, None], models)


def load(experiment: Experiment, dataset: Dataset) -> Previous | None:
    """The previous model of the experiment's runs; None where the config names none.

    Raises:
      UserError: it is missing, unfinished, damaged, of other data or of too few runs, or its files
        don't cover the training examples.
    """
    config = experiment.config
    if not config.previous.source:
        return None
    paths = split_paths(config.previous.source, matches)
    if len(paths) == 1 and os.path.isdir(folder := os.path.expanduser(paths[0])):
        part = more_runs.holding(folder, experiment.runs.tolist())
        return _of_workdir(str(part), experiment, dataset)
    return _of_files(paths, experiment, dataset)


def start(experiment: Experiment, state: TrainState, previous: Previous | None) -> TrainState:
    """The state before the first step: keep · old weights + fresh · new ones.

    Batch-norm statistics are the previous model's where its weights are kept.

    Raises:
      UserError: the weights of the two do not fit.
    """
    settings = experiment.config.previous
    if previous is None or not settings.start_keep:
        return state
    old = fitting(experiment, previous)
    keep, fresh = settings.start_keep, settings.start_fresh
    params = jax.tree.map(
        lambda new, kept: (keep * kept + fresh * new).astype(new.dtype), state.params, old.params
    )
    shardings = experiment.state_shardings()
    return dataclasses.replace(
        state,
        params=jax.device_put(params, shardings.params),
        batch_stats=jax.device_put(old.batch_stats, shardings.batch_stats),
    )


def fitting(experiment: Experiment, previous: Previous) -> Weights:
    """The previous weights for each member; those of a single model are every member's.

    Raises:
      UserError: they are of another architecture.
    """
    assert previous.trained is not None
    old, shapes = previous.trained.weights(), experiment.state_shapes()
    ours = Weights(shapes.params, shapes.batch_stats)
    members = experiment.config.method.members

    def repeated(leaf: np.ndarray) -> np.ndarray:
        return np.repeat(leaf, members, axis=1) if leaf.shape[1] == 1 else leaf

    old = jax.tree.map(repeated, old)
    if _shapes(old) != _shapes(ours):
        theirs = previous.trained.experiment.config
        raise UserError(
            f"config.previous: the weights of a {theirs.model.name} of {theirs.method.members} "
            f"members do not fit into a {experiment.config.model.name} of {members}; without "
            "start_keep, weights_share and predictions_share its predictions alone count"
        )
    return old


def counted_models(
    experiment: Experiment,
    state: TrainState,
    dataset: Dataset | None,
    previous: Previous | None,
    config: Config,
) -> list[Weights]:
    """The models of a training whose mean predicts, with the share of the previous one's weights.

    Args:
      experiment, state, dataset: what was trained; the data set is needed for shares and averages
        where there are batch-norm statistics.
      previous: the model that was updated; needed where its weights have a share.
      config: says which model counts, and the share.
    """
    models = predicting(experiment, state, dataset, config.method.prediction)
    share = config.previous.weights_share
    if not share:
        return models
    assert previous is not None
    old = fitting(experiment, previous)

    def mixed(weights: Weights) -> Weights:
        params = jax.tree.map(
            lambda new, kept: ((1 - share) * new + share * kept).astype(new.dtype),
            weights.params,
            old.params,
        )
        return with_statistics(experiment, state, params, dataset)

    return [mixed(weights) for weights in models]


def refuse_mixed(where: str, config: Config) -> None:
    """Raises a `UserError` where a training's predictions are no network's of its own."""
    if share := config.previous.predictions_share:
        raise UserError(
            f"{where}: its predictions are mixed with those of the model that it updates "
            f"(config.previous.predictions_share={share:g}), so no network makes them; mix those "
            "of the two models, or train without the share"
        )


def _shapes(tree: Tree) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}


def _of_workdir(folder: str, experiment: Experiment, dataset: Dataset) -> Previous:
    new = experiment.config
    if not workdir_files.has_config(folder):
        raise UserError(f"{_KEY}: there are no runs in {folder!r}")
    config = config_lib.read(folder)
    refuse_mixed(f"{_KEY}: {folder!r}", config)
    rows = _rows(folder, config, experiment.runs)
    if new.previous.prediction:
        method = dataclasses.replace(config.method, prediction=new.previous.prediction)
        counted = dataclasses.replace(config, method=method)
    else:
        counted = config
    ours = dataclasses.replace(config.data, dir=new.data.dir)
    theirs = data.load(ours)
    _refuse_other_data(folder, theirs.info, dataset.info)
    old = dataclasses.replace(config, mesh=MeshConfig(), data=ours)
    trained = Experiment(old, theirs.info, len(theirs.train), sharding.make_mesh(old))
    if trained.total_steps not in checkpoint_steps(folder):
        raise UserError(
            f"{_KEY}: the training in {folder!r} is not finished; the command that began it goes on"
        )
    with Checkpoints(folder) as checkpoints:
        state = checkpoints.restore(trained.total_steps, trained.abstract_state())
    if failed := set(failed_runs(trained, state)) & set(experiment.runs.tolist()):
        raise UserError(f"{_KEY}: runs {sorted(failed)} in {folder!r} have failed")
    older = load(trained, theirs) if config.previous.weights_share else None
    models = counted_models(trained, state, theirs, older, counted)
    chosen = None
    if counted.chooses:
        runs = experiment.runs.tolist()
        chosen = np.array(workdirs.chosen_members(folder, trained.total_steps, runs))
    found = Trained(dataclasses.replace(trained, config=counted), models, rows, chosen)
    made = {
        "config_hash": config_lib.config_hash(config),
        "seed": config.seed,
        "prediction": counted.method.prediction,
    }
    marks = {**made, "data": training_fingerprint(theirs.info, theirs.train)}
    log_probs = found.predict(dataset.train) if new.method.anchored else None
    target = _target(new, _floored(log_probs), dataset)
    return Previous({**made, "fingerprint": _hash(marks)}, target, found)


def _rows(folder: str, config: Config, runs: np.ndarray) -> np.ndarray:
    """Where each of `runs` is among those of the previous workdir."""
    first, last = config.first_run, config.first_run + config.runs - 1
    missing = [run for run in runs.tolist() if not first <= run <= last]
    if missing and len(workdir_files.parts(folder)) > 1:
        raise UserError(
            f"{_KEY}: the runs of {folder!r} were trained in parts, the first of {config.runs}; "
            f"train config.runs={config.runs} first, and then more in the same workdir"
        )
    if missing:
        raise UserError(
            f"{_KEY}: {folder!r} has the runs {first} to {last}, so run {missing[0]} has no "
            "previous model; train fewer (config.runs, config.first_run)"
        )
    return np.asarray(runs) - first


def _refuse_other_data(folder: str, theirs: DatasetInfo, ours: DatasetInfo) -> None:
    for field in dataclasses.fields(ours):
        a, b = getattr(theirs, field.name), getattr(ours, field.name)
        if a != b:
            raise UserError(
                f"{_KEY}: the model in {folder!r} was trained on other data: its {field.name} "
                f"{_short(a)}, here {_short(b)}"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _of_files(paths: Sequence[str], experiment: Experiment, dataset: Dataset) -> Previous:
    config = experiment.config
    files = [match for path in paths for match in (matches(path) or [path])]
    sources = [source for file in files for source in read(file)]
    if config.previous.needs_weights:
        raise UserError(
            f"{_KEY}: predictions have no weights, which config.previous.start_keep, "
            "weights_share, predictions_share and choose ask for; give a workdir"
        )
    if len(sources) not in (1, config.runs):
        raise UserError(
            f"{_KEY}: there are {len(sources)} previous models for {config.runs} runs; give one a "
            "run, or a single one that all runs update"
        )
    ids, names = dataset.train.ids, dataset.info.class_names
    found = on_examples.log_probs(sources, ids, names, LOG_PROBABILITY_FLOOR)
    digest = hashlib.sha256(np.ascontiguousarray(found).data).hexdigest()[:16]
    target = _target(config, found, dataset) if config.method.anchored else None
    if target is not None:
        target = np.broadcast_to(target, (config.runs, *target.shape[1:]))
    return Previous({"fingerprint": digest}, target, None)


def _target(config: Config, log_probs: np.ndarray | None, dataset: Dataset) -> np.ndarray | None:
    """What the anchor holds to, of the previous predictions of the training examples."""
    if log_probs is None or config.method.anchor != "neighbours":
        return log_probs
    labels = np.asarray(dataset.train.labels)
    return label_shares(log_probs, labels, config.method.anchor_neighbours)


def _floored(log_probs: np.ndarray | None) -> np.ndarray | None:
    return None if log_probs is None else np.maximum(log_probs, np.float32(LOG_PROBABILITY_FLOOR))


def _hash(marks: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(marks, sort_keys=True).encode()).hexdigest()[:16]
