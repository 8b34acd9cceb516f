"""Which configs are the same training: hashes over what decides it, and what differs in words."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from churn_jax.config.schema import Config, to_dict

# What does not change the mathematics of a run: left out of the hash that makes runs one group.
NOT_HASHED = {
    "mesh", "runs", "first_run", "eval_every", "checkpoint_every", "keep_checkpoints", "log_every",
    "log_to", "profile", "profile_port", "log_distances", "on_failed_run", "eval_batch_size",
    "model.remat",
    "data.dir", "data.pipeline", "data.workers", "data.undecodable",
    "method.teachers",  # a place; `teachers.load` sees to it that the config decides what is there
    "previous.source",  # a place; its fingerprint is in the provenance
}  # fmt: skip

# Came after the first results, whose hashes stay what they are: hashed unless at these values.
HASHED_UNLESS: dict[str, Any] = {
    "randomness.perturb": "none",
    "deterministic": False,
    "model.activation": "relu",
    "model.activation_width": 1.0,
    "data.sample": "all",
    "data.cutout": 0,
    "data.augment": "none",
    "data.mixup": 0.0,
    "model.width": 0,
    "model.depth": 0,
    "model.dropout": 0.0,
    "data.skip_train": 0,
    "data.label_noise": 0.0,
    "optimizer.name": "sgd",
    "optimizer.arguments": "",
    "optimizer.decayed": "all",
    "optimizer.accumulate": 1,
    "optimizer.sam_radius": 0.0,
    "optimizer.schedule": "stepped",
    "optimizer.warmup_percent": 0.0,
    "optimizer.decay_percent": (),
    "optimizer.cycles": 1,
    "optimizer.tail_percent": 0.0,
    "averages.decay": 0.999,
    "averages.every": 1,
    "averages.start_percent": 75.0,
    "method.label_smoothing": 0.0,
    "method.views": "one",
    "method.agree_with": "pairs",
    "method.alpha_ramp_percent": 0.0,
    "method.beta_ramp_percent": 0.0,
    "previous.prediction": "",
    "previous.start_keep": 0.0,
    "previous.start_fresh": 1.0,
    "previous.weights_share": 0.0,
    "previous.predictions_share": 0.0,
    "previous.choose": "first",
    "method.anchor": "none",
    "method.gamma": 0.0,
    "method.gamma_ramp": "constant",
    "method.gamma_ramp_epochs": 0.0,
    "method.gamma_ramp_percent": 0.0,
    "method.anchor_temperature": 1.0,
    "method.anchor_focus": 5.0,
    "method.anchor_wrong": 1.0,
    "method.anchor_margin": 0.5,
    "method.anchor_power": 2.0,
    "method.anchor_top_k": 10,
    "method.anchor_neighbours": 10,
}


def varied(config: Config) -> tuple[str, ...]:
    """The streams that differ between runs: without `sample` where all train on all examples."""
    drawn = set(config.randomness.vary) - ({"sample"} if config.data.sample == "all" else set())
    return tuple(stream for stream in config.randomness.vary if stream in drawn)


def flatten(config: Config) -> dict[str, Any]:
    """A config as {dotted key: value}, of which `randomness.vary` names only what is drawn."""
    flat: dict[str, Any] = {}

    def visit(tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                visit(value, f"{prefix}{key}.")
            else:
                flat[prefix + key] = value

    visit(to_dict(config), "")
    return flat | {"randomness.vary": varied(config)}


def config_hash(config: Config) -> str:
    """16 hex digits over all that decides a run's mathematics; equal for runs of one group."""
    relevant = {
        key: value
        for key, value in flatten(config).items()
        if key not in NOT_HASHED and key.split(".")[0] not in NOT_HASHED
        if key not in HASHED_UNLESS or value != HASHED_UNLESS[key]
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def differences(ours: Config, theirs: Config) -> str:
    """`key: theirs -> ours` for what changes the runs, joined by commas; empty if equal."""
    a, b = flatten(theirs), flatten(ours)
    return ", ".join(
        f"{key}: {a[key]!r} -> {b[key]!r}"
        for key in b
        if a[key] != b[key] and key not in NOT_HASHED - {"runs", "first_run"}
        and key.split(".")[0] not in NOT_HASHED - {"runs", "first_run"}
    )  # fmt: skip
