"""What a config may say, checked before anything is compiled.

A config file hands over an `ml_collections.ConfigDict`; `check` turns it into the frozen, typed
`Config` that the rest of the package reads. A wrong key or value is refused in one line that names
it and the nearest right thing.
"""

from churn_jax.config.checking import check, check_values, default
from churn_jax.config.identity import config_hash, differences, flatten, varied
from churn_jax.config.registered import changed_files, read, registered, write
from churn_jax.config.schema import (
    DURATIONS,
    MAX_BATCH,
    AveragesConfig,
    Config,
    DataConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
    PreviousConfig,
    RandomnessConfig,
    to_dict,
)

__all__ = [
    "DURATIONS",
    "MAX_BATCH",
    "AveragesConfig",
    "Config",
    "DataConfig",
    "MeshConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PreviousConfig",
    "RandomnessConfig",
    "changed_files",
    "check",
    "check_values",
    "config_hash",
    "default",
    "differences",
    "flatten",
    "read",
    "registered",
    "to_dict",
    "varied",
    "write",
]
