"""What a training would cost on a TPU slice that nobody has to own.

    python -m churn_jax.plan --config=configs/imagenet_codistill.py --topology=v3-32

Compiles the very step that training would run, ahead of time, with the TPU compiler: memory,
arithmetic, traffic, collectives, the compiler's estimate of a step's time, and hours for the whole
schedule. A slice is named as it is ordered (v3-32, v5litepod-16) or as libtpu names it (v3:4x4x1,
v5e:4x4). Needs pip install '.[tpu]', no TPU and no data.
"""

from churn_jax.system import startup
from churn_jax.system.commands import run_command

if __name__ == "__main__":
    startup.start()

import json
import os
import sys

from absl import flags
from ml_collections import config_flags

from churn_jax.system.arguments import parse_flags


def main() -> None:
    """The command."""
    known = command_flags()
    values = parse_flags(known, sys.argv, ("config", "topology"), __doc__)

    # JAX only once the flags are right, and without looking for a TPU of this machine.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from churn_jax import config as config_lib
    from churn_jax.planner import chips, compiling, estimate, text
    from churn_jax.storage.files import write_atomically

    config = config_lib.check(values)
    chip, topology = chips.find(known.topology)
    compiled = compiling.compile_step(config, compiling.slice_devices(topology))
    figures = estimate.estimate(compiled, chip)
    print(text.describe(figures, config, topology))
    if path := known.json:
        plan = {"config": config_lib.to_dict(config), "topology": topology, **figures.to_dict()}
        write_atomically(path, json.dumps(plan, indent=2) + "\n")


def command_flags() -> flags.FlagValues:
    """Of the command."""
    known = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", None, "Config file, as configs/cifar10.py:codistill_skl.", flag_values=known
    )
    flags.DEFINE_string("topology", None, "Slice, as v3-32 or v3:4x4x1.", flag_values=known)
    flags.DEFINE_string("json", None, "File to write the figures to.", flag_values=known)
    return known


if __name__ == "__main__":
    run_command(main)
