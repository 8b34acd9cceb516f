"""Large buffers in large pages.

XLA's CPU backend takes one large buffer for a step's intermediate results and frees it at the end;
glibc gives it back to the kernel, which hands it out again page by page at the next step. In pages
of 4 KiB that is up to a third of a stacked LeNet5 step, in pages of 2 MiB next to nothing. glibc
asks for those where the environment says so as the program starts, as the scripts of `launch` do.

`mallopt` can be called later, but does not serve as well: its largest threshold is 32 MiB, and
without a threshold a step of two ResNet-8 still had 96,000 page faults of 110,000 (1,550 in large
pages), or none in one arena, at twice the memory.
"""

import functools
import os
import sys
from pathlib import Path

from churn_jax.system.console import say

LARGE_PAGES = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"
# `madvise` in brackets: the kernel gives large pages to those who ask. It may give them to all, or
# to nobody.
_KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@functools.cache
def advise() -> None:
    """Says once what small pages cost a training on this CPU, where large ones are to be had."""
    if sys.platform != "linux" or "GLIBC_TUNABLES" in os.environ or not _given_on_request():
        return
    say(
        f"memory comes in small pages, which can cost a third of a step: {LARGE_PAGES} in the "
        "environment, as the scripts of launch/ set it, asks for large ones"
    )


def _given_on_request() -> bool:
    try:
        return "[madvise]" in _KERNEL.read_text()
    except OSError:
        return False
