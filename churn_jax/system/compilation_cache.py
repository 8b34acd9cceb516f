"""Compiled programs are kept between starts, so that only the first one of a program waits.

They are in `JAX_COMPILATION_CACHE_DIR` where that is set, else in the user's cache folder. Such a
program is the one that would have been compiled: results are the same bits.
"""

import contextlib
import os
from pathlib import Path

import jax

# What compiles faster is not worth a file; JAX's own bound of 1 s leaves out most of start-up.
_LEAST_SECONDS = 0.1


def keep_programs() -> None:
    """Turns JAX's cache of compiled programs on, unless the user turned it off or placed it."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "churn_jax" / "programs"
    with contextlib.suppress(OSError):  # no home that can be written: compile every time
        folder.mkdir(parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(folder))
