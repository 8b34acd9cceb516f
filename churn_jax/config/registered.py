"""Which files registered what a config names: written into workdirs, and found again there."""

from etils import epath

from churn_jax.config.checking import check
from churn_jax.config.identity import flatten
from churn_jax.config.schema import Config, to_dict
from churn_jax.storage import workdir as workdir_files
from churn_jax.system import registry
from churn_jax.system.console import say

# The keys that may name what somebody has registered, and what it then is.
NAMING = {
    "data.name": "data set",
    "data.augment": "augmentation",
    "model.name": "model",
    "method.agreement": "agreement term",
    "method.regularizer": "regulariser",
    "optimizer.schedule": "schedule",
    "optimizer.name": "optimiser",
}


def registered(config: Config) -> list[registry.Source]:
    """The files that registered what a config names, beside what the package has itself."""
    flat = flatten(config)
    return registry.sources([(noun, str(flat[key])) for key, noun in NAMING.items()])


def write(workdir: epath.PathLike, config: Config) -> None:
    """Writes config.json: the config, and the files that registered what it names.

    Raises:
      UserError: it can't be written.
    """
    files = [source.to_json() for source in registered(config)]
    values = to_dict(config) | ({"registered": files} if files else {})
    workdir_files.write_config(workdir, values)


def read(workdir: epath.PathLike, *, warn: bool = True) -> Config:
    """The config that a workdir was made by; runs the files that registered what it names.

    A file that is not what it was when the workdir was made is said, if it is to `warn`.

    Raises:
      UserError: there is none, it is damaged, or such a file is not there.
    """
    values = workdir_files.read_config(workdir)
    for source in registry.read_sources(values.pop("registered", [])):
        registry.recall(source, str(workdir))
        if warn and (said := registry.changed(source)):
            say(f"warning: {workdir}: {said}")
    return check(values)


def changed_files(workdir: epath.PathLike) -> str | None:
    """Which file of those that a workdir names is not what it was; None if all are."""
    listed = workdir_files.read_config(workdir).get("registered", [])
    return next(filter(None, map(registry.changed, registry.read_sources(listed))), None)
