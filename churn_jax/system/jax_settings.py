"""Settings of JAX and XLA: what results promise not to depend on is pinned, the rest recorded.

All of them come from the environment or from code that ran before. What would change the random
streams or the arithmetic of a config is pinned; what else may change a program is in its record.
"""

import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from churn_jax.errors import UserError
from churn_jax.system import private_surfaces
from churn_jax.system.console import say

Params = ParamSpec("Params")
Result = TypeVar("Result")

# Under another value the same config would draw other numbers, or compute in another precision.
PINNED = {
    "jax_enable_x64": False,
    "jax_threefry_partitionable": True,
    "jax_default_prng_impl": "threefry2x32",
    "jax_random_seed_offset": 0,
    "jax_disable_jit": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
}
# `Experiment` says its own precision.
_SAID_ELSEWHERE = {"JAX_DEFAULT_MATMUL_PRECISION", "JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES"}
# Of where programs and messages are kept, and where processes meet: no result depends on them.
_HARMLESS = re.compile(
    r"JAX_(.*CACHE|COORDINATOR|NUM_PROCESSES|PROCESS_ID|LOCAL_DEVICE_IDS|TRACEBACK|LOG|DUMP|DEBUG"
    r"|CAPTCHA|EXPLAIN|NO_|PGLE|TEST|SKIP)|XLA_PYTHON_CLIENT"
    rf"|--({private_surfaces.DUMP}|{private_surfaces.HOST_DEVICES})"
)
_RECORDED = re.compile(r"JAX_|XLA_|LIBTPU_INIT_ARGS$|NVIDIA_TF32_OVERRIDE$")
_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")


def pin() -> None:
    """Gives JAX the settings of `PINNED`, with a line for each that was another; call at a start.

    Raises:
      UserError: XLA would end the process for a flag that it does not know.
    """
    import jax

    _refuse_unknown_flags()
    for name, value in PINNED.items():
        if (found := getattr(jax.config, name)) != value:
            say(f"{name.upper()}={found} is not followed: results are promised under {value}")
            jax.config.update(name, value)


def pinned(draw: Callable[Params, Result]) -> Callable[Params, Result]:
    """`draw` under the settings that decide random numbers, whatever those around it are."""
    import jax

    @wraps(draw)
    def draw_pinned(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        with jax.enable_x64(False), jax.threefry_partitionable(True):
            return draw(*args, **kwargs)

    return draw_pinned


def recorded(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What else in the environment may change a program: {variable or XLA flag: its value}."""
    found: dict[str, str] = {}
    for name, value in environment.items():
        if not _RECORDED.match(name) or _HARMLESS.match(name) or not value:
            continue
        if name in _FLAGS:
            flags = (flag for flag in value.split() if not _HARMLESS.match(flag))
            found.update(flag.partition("=")[::2] for flag in flags)
        elif name not in _SAID_ELSEWHERE and name.lower() not in PINNED:
            found[name] = value
    return dict(sorted(found.items()))


def fault(error: BaseException) -> str | None:
    """What is wrong with JAX's settings, in a line, where `error` is about them; else None."""
    frames = traceback.extract_tb(error.__traceback__)
    place = Path(frames[-1].filename).as_posix() if frames else ""
    if place.endswith(private_surfaces.SETTINGS_FILE) and isinstance(error, ValueError):
        return f"a setting of JAX: {error}"
    if place.endswith(private_surfaces.PLATFORMS_FILE):
        wanted = os.environ.get("JAX_PLATFORMS", "")
        why = f": {error}" if str(error) else ", but there is no such device, or no JAX for it"
        return f"JAX_PLATFORMS={wanted}{why}".replace("\n", " ")
    return None


def _refuse_unknown_flags() -> None:
    """XLA aborts the process that gives it an unknown flag: another one tries them first."""
    if not set(recorded()) - {private_surfaces.OPTIMISATION_LEVEL} or not os.environ.get(_FLAGS[0]):
        return
    trial = [sys.executable, "-c", private_surfaces.PARSE_FLAGS]
    tried = subprocess.run(trial, capture_output=True, text=True)
    if tried.returncode and (unknown := private_surfaces.UNKNOWN_FLAGS.search(tried.stderr)):
        raise UserError(unknown[0])
