"""Large buffers in large pages.

XLA's CPU backend takes one large buffer for a step's intermediate results and frees it at the end;
glibc gives it back to the kernel, which hands it out again page by page at the next step. In pages
of 4 KiB that is a third of a stacked LeNet5 step, in pages of 2 MiB next to nothing.
"""

import contextlib
import os
import sys

_TUNABLES = "GLIBC_TUNABLES"


def use_huge_pages() -> None:
    """Starts this command once more, with glibc told to ask for huge pages; call it first.

    glibc listens only when a program starts, so there is no way but `exec`: process id, arguments
    and streams stay. Does nothing elsewhere than on Linux, where the user has set tunables, or in a
    notebook (`%run`), whose kernel would be started anew and lose its state.
    """
    if sys.platform != "linux" or _TUNABLES in os.environ or "IPython" in sys.modules:
        return
    os.environ[_TUNABLES] = "glibc.malloc.hugetlb=1"
    with contextlib.suppress(OSError):  # no interpreter to be found: go on as it is
        os.execv(sys.executable, sys.orig_argv)
