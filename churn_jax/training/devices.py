"""Start-up of devices: how many a CPU shows, which must be said before JAX looks."""

import contextlib
import math
import os
from collections.abc import Sequence

import jax

from churn_jax.config import Config
from churn_jax.data.outline import published
from churn_jax.errors import UserError
from churn_jax.parallel.sharding import choose_mesh_shape
from churn_jax.system import private_surfaces
from churn_jax.system.compilation_cache import keep_programs
from churn_jax.system.threads import available_cores

_MOST_DEVICES = 512  # of one process; more than any machine has

# Runs on a CPU whose batch and whose training images have no more pixels than this are given a
# device each, up to so many devices: see `_cpu_devices`.
_SMALL_BATCH, _SMALL_DATA = 1 << 14, 1 << 22
_MOST_SMALL_RUNS = 32


def start_devices(config: Config, num_processes: int = 1, also: Sequence[Config] = ()) -> None:
    """Prepares JAX for `config`; call before anything else touches its devices.

    A CPU is shown as several devices (`_cpu_devices`), accelerators are left as they are. `also`
    are other configs that will be trained on the same devices.
    """
    keep_programs()
    if private_surfaces.HOST_DEVICES in os.environ.get("XLA_FLAGS", ""):
        return  # the user chose
    asked = math.prod(
        max(axis, 1) for axis in (config.mesh.run, config.mesh.member, config.mesh.data)
    )
    if asked > _MOST_DEVICES * num_processes:
        raise UserError(
            f"config.mesh: run × member × data are {asked} devices, more than {_MOST_DEVICES} of "
            f"each of {num_processes} processes"
        )
    cores = available_cores()
    devices = _cpu_devices(config, -(-asked // num_processes), cores, num_processes)
    if num_processes > 1 or any(_communicates(each, devices) for each in (config, *also)):
        # Devices will wait for each other, each holding a thread. XLA starts as many as there are
        # cores or devices, and where all waited, a step has been seen to hang.
        os.environ.setdefault(private_surfaces.CPU_POOL_SIZE, str(2 * max(cores, devices)))
    # Where a notebook or a test has already initialised JAX, what is there is used.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices)


def _cpu_devices(config: Config, asked: int, cores: int, num_processes: int) -> int:
    """How many devices a CPU shows: those `asked` for, times what runs and members leave open.

    XLA runs one program per device, so independent models run side by side only on several: as many
    as the cores can serve and the runs can fill, or runs and members where that at least doubles
    them. Small runs have one each, whatever the cores: XLA then compiles the program of one run and
    not that of several in a row, which is most of a short training's time, and a step takes as
    long. Larger runs would all need their memory at once: ten of ResNet-20 at batch 256 take 5.7
    GiB instead of 1.9, and half as long again.
    """
    runs = 1 if config.mesh.run else config.runs
    models = runs * (1 if config.mesh.member else config.method.members)
    served = max(cores // asked, 1)
    if num_processes > 1:
        most = math.gcd(models, served)
        fitting = (n for n in range(most, 1, -1) if _fills(config, num_processes * asked * n))
        return asked * next(fitting, 1)
    if _is_small(config):
        return asked * _largest_divisor(runs, max(_MOST_SMALL_RUNS // asked, 1))
    by_run, by_model = _largest_divisor(runs, served), _largest_divisor(models, served)
    return asked * (by_model if by_model >= 2 * by_run else by_run)


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)


def _fills(config: Config, devices: int) -> bool:
    """Whether no device would be idle."""
    return math.prod(choose_mesh_shape(config, devices)) == devices


def _communicates(config: Config, devices: int) -> bool:
    """Whether devices will wait for each other: not if each has runs of its own."""
    return config.log_distances or choose_mesh_shape(config, devices)[0] < devices


def _is_small(config: Config) -> bool:
    """Whether a batch, and the training images, of which each device has a copy, are small."""
    found = published(config.data.name)  # looks at no files
    if found is None:
        return False
    height, width, _ = found.info.image_shape
    pixels = config.data.image_size**2 or height * width
    examples = config.data.num_train or found.num_train
    return pixels * config.batch_size <= _SMALL_BATCH and pixels * examples <= _SMALL_DATA
