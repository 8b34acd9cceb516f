"""Which processor this is, and what it can do."""

import contextlib
import platform
from pathlib import Path


def name() -> str:
    """The processor's name and its widest vectors, in which sums are split.

    Virtual machines give processors of several generations one name.
    """
    model = _described("model name") or platform.processor() or platform.machine()
    vectors = "AVX-512" if has_avx512() else "AVX2" if "avx2" in _described("flags").split() else ""
    return f"{model}, {vectors}" if vectors else model


def has_avx512() -> bool:
    """Whether it computes with 16 float32 at once; false where it can't be read."""
    return "avx512f" in _described("flags").split()


def _described(field: str) -> str:
    """What Linux says of the first core under `field`; empty where it says nothing."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == field:
                return value.strip()
    return ""
