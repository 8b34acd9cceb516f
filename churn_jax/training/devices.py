"""Start-up of devices: how many a CPU shows, which must be said before JAX looks."""

import contextlib
import math
import os
from typing import Any

import jax

from churn_jax.config import Config
from churn_jax.data.outline import published
from churn_jax.errors import UserError
from churn_jax.parallel.sharding import choose_mesh_shape
from churn_jax.system import jax_settings, private_surfaces, processor
from churn_jax.system.compilation_cache import keep_programs
from churn_jax.system.console import say
from churn_jax.system.threads import available_cores

_MOST_DEVICES = 512  # of one process; more than any machine has

# Runs on a CPU whose batch and whose training images have no more pixels than this are given a
# device each, up to so many devices: see `_cpu_devices`.
_SMALL_BATCH, _SMALL_DATA = 1 << 14, 1 << 22
_MOST_SMALL_RUNS = 32


def start_devices(config: Config, num_processes: int = 1) -> None:
    """Prepares JAX for `config`; call before anything else touches its devices.

    A CPU is shown as several devices (`_cpu_devices`) with a pool of `_threads` threads;
    accelerators are left as they are.
    """
    jax_settings.pin()
    keep_programs()
    asked = math.prod(
        max(axis, 1) for axis in (config.mesh.run, config.mesh.member, config.mesh.data)
    )
    if asked > _MOST_DEVICES * num_processes:
        raise UserError(
            f"config.mesh: run × member × data are {asked} devices, more than {_MOST_DEVICES} of "
            f"each of {num_processes} processes"
        )
    cores, asked = available_cores(), -(-asked // num_processes)
    with contextlib.suppress(RuntimeError):  # a notebook or a test has started JAX: use what is
        if private_surfaces.HOST_DEVICES not in os.environ.get("XLA_FLAGS", ""):
            devices = _cpu_devices(config, asked, cores, num_processes)
            jax.config.update("jax_num_cpu_devices", devices)
        os.environ[private_surfaces.CPU_POOL_SIZE] = str(
            _threads(cores, asked, os.environ.get(private_surfaces.CPU_POOL_SIZE, ""))
        )


def cpu_options() -> dict[str, Any]:
    """The compiler's options for programs of training and prediction on this processor.

    YNNPACK, to which XLA hands convolutions, computes their weight gradients four to eight times
    slower than XLA's own where there is no AVX-512 (a step of ResNet-20 takes twice as long), and
    as fast where there is.
    """
    if processor.has_avx512():
        return private_surfaces.KEEP_BARRIERS
    return private_surfaces.KEEP_BARRIERS | private_surfaces.OWN_CONVOLUTIONS


def cpu_threads() -> int:
    """How many threads the CPU devices of this process share."""
    return max(
        int(os.environ.get(private_surfaces.CPU_POOL_SIZE) or available_cores()),
        jax.local_device_count(),
    )


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


def _threads(cores: int, asked: int, wanted: str) -> int:
    """How many threads all CPU devices of a process share: at least so many, or more if `wanted`.

    Eigen splits some sums by this number, so it must not follow the number of runs, as XLA's own
    choice does: the cores, or the devices if those are more. It is at least twice the devices that
    `_cpu_devices` can show, because one that waits for another holds a thread, and where all of
    them waited, a step has been seen to hang. More threads than cores take no more of the cores.
    """
    least = 2 * max(_MOST_SMALL_RUNS, cores, asked)
    if not wanted:
        return least
    if not wanted.isdecimal():
        raise UserError(f"{private_surfaces.CPU_POOL_SIZE}: {wanted!r} is not a number of threads")
    if int(wanted) < least:
        say(
            f"{private_surfaces.CPU_POOL_SIZE}={wanted} is not followed: "
            "sums must not depend on how many runs there are"
        )
    return max(int(wanted), least)


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)


def _fills(config: Config, devices: int) -> bool:
    """Whether no device would be idle."""
    return math.prod(choose_mesh_shape(config, devices)) == devices


def _is_small(config: Config) -> bool:
    """Whether a batch, and the training images, of which each device has a copy, are small."""
    found = published(config.data.name)  # looks at no files
    if found is None:
        return False
    height, width, _ = found.info.image_shape
    pixels = config.data.image_size**2 or height * width
    examples = config.data.num_train or found.num_train
    return pixels * config.batch_size <= _SMALL_BATCH and pixels * examples <= _SMALL_DATA
