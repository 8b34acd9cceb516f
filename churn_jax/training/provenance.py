"""What made a result: config, code, versions and machine, as plain JSON."""

import functools
import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

import churn_jax
from churn_jax import config as config_lib
from churn_jax.config import Config
from churn_jax.data import Dataset, fingerprint, training_fingerprint
from churn_jax.system import jax_settings, processor
from churn_jax.training import devices

VERSIONED = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "grain")


def describe(config: Config, mesh: Mesh, dataset: Dataset) -> dict[str, Any]:
    """Config and its hash, seed and varied streams, data, versions, platform, machine and settings.

    `data_fingerprint` is of the test split; predictions of another split say that one's instead.
    """
    device = mesh.devices.flat[0]
    return {
        "config": config_lib.to_dict(config),
        "config_hash": config_lib.config_hash(config),
        **_registered(config),
        "seed": config.seed,
        "vary": list(config_lib.varied(config)),
        "data_fingerprint": fingerprint(dataset.info, dataset.test),
        "train_fingerprint": training_fingerprint(dataset.info, dataset.train),
        "code_version": code_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONED},
        "platform": f"{device.platform} ({device.device_kind})",
        "topology": {**mesh.shape, "processes": jax.process_count()},
        "machine": machine(device.platform),
        "settings": jax_settings.recorded(),
    }


def _registered(config: Config) -> dict[str, Any]:
    """{'registered': {file: its hash}}, where the config names what the package doesn't have."""
    files = {Path(s.file).name: s.sha256[:16] for s in config_lib.registered(config)}
    return {"registered": files} if files else {}


def machine(platform: str) -> dict[str, str | int]:
    """What decides on a CPU how sums are split, beside the devices of the topology."""
    if platform != "cpu":
        return {}
    return {"threads": devices.cpu_threads(), "processor": processor.name()}


@functools.cache
def code_version() -> str:
    """The package's version, with the commit and whether it was dirty in a git checkout."""
    root = Path(churn_jax.__file__).parents[1]

    def git(*args: str) -> str:
        result = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True)
        return result.stdout.strip() if result.returncode == 0 else ""

    try:
        if not (root / ".git").exists() or not (commit := git("rev-parse", "--short=12", "HEAD")):
            return churn_jax.__version__
        dirty = "-dirty" if git("status", "--porcelain", "--untracked-files=no") else ""
    except OSError:  # git is not installed
        return churn_jax.__version__
    return f"{churn_jax.__version__}+{commit}{dirty}"
