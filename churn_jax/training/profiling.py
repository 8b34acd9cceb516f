"""A trace of a few steps, `config.profile`, for XProf: what the devices and the host did when.

It goes to `WORKDIR/profile`, one file for each process: `xprof --logdir=WORKDIR/profile`, or
TensorBoard with its profile plugin. A local folder, as JAX's profiler writes to none else.

`config.profile_port` instead lets XProf ask for a trace whenever somebody wants one, of any of the
processes: JAX's profiler server, which whoever reaches the port may ask.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import jax
from etils import epath

from churn_jax.errors import UserError
from churn_jax.storage.objects import is_remote
from churn_jax.system.console import say


class Profile:
    """Traces the steps from the first to the last that are asked for; use around the loop."""

    def __init__(self, workdir: epath.PathLike, steps: tuple[int, ...], done: int = 0):
        """Of no steps traces nothing; after `done` steps none of those, which is said.

        Raises:
          UserError: the workdir is in a bucket.
        """
        self._first, self._last = steps or (0, 0)
        self._folder = epath.Path(workdir) / "profile"
        self._tracing = False
        if steps and is_remote(workdir):
            raise UserError(
                f"config.profile: a trace can't be written to {workdir}; give a local --workdir"
            )
        if 0 < self._first <= done:
            say(f"config.profile: step {self._first} was done before, so nothing is traced")

    def before(self, step: int) -> None:
        """Begins the trace if `step` is the first of it."""
        if step == self._first:
            jax.profiler.start_trace(str(self._folder))
            self._tracing = True

    def after(self, step: int, state: Any) -> None:
        """Ends it, once the device has finished `state`, if `step` was the last of it."""
        if self._tracing and step == self._last:
            jax.block_until_ready(state)
            self.close()
            say(f"steps {self._first} to {self._last} are traced in {self._folder}")

    def close(self) -> None:
        """Ends a trace that is cut short."""
        if self._tracing:
            jax.profiler.stop_trace()
            self._tracing = False


@contextlib.contextmanager
def server(port: int) -> Iterator[None]:
    """Answers XProf at a port of this machine during the block; 0 is none.

    Raises:
      UserError: the port is taken, which JAX would log and pass over.
    """
    if not port:
        yield
        return
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"config.profile_port: {port} can't be had here: {reason}") from error
    jax.profiler.start_server(port)
    say(f"XProf may ask for traces at port {port} of this machine")
    try:
        yield
    finally:
        jax.profiler.stop_server()
