"""Several processes, on one machine or many, as one training: start-up and a common end.

Every process runs the same command. On a TPU slice they find each other by themselves; elsewhere
each is told where process 0 listens, how many there are and which one it is, by flags or by

    JAX_COORDINATOR_ADDRESS=HOST:PORT  JAX_NUM_PROCESSES=4  JAX_PROCESS_ID=0

One process alone needs none of it.
"""

import contextlib
import dataclasses
import importlib.util
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from churn_jax.errors import UserError
from churn_jax.parallel.liveness import Watch
from churn_jax.system import commands, private_surfaces
from churn_jax.system.interruption import Interrupted

START_TIMEOUT = 300
# JAX's own check, for a process that hangs; of one that ends `liveness` tells, sooner and better.
_HEARTBEAT_TIMEOUT = 30
# Process 0 writes predictions while the others wait for it.
_FINISH_TIMEOUT = 3600


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one process stands among all: `index` of `count`, meeting at `coordinator`."""

    coordinator: str
    count: int
    index: int


def find_place(
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Place | None:
    """What the flags or, where they are missing, the environment say; None if neither does.

    Raises:
      UserError: only part of it is given, or it makes no sense.
    """
    given = {
        "--coordinator (JAX_COORDINATOR_ADDRESS)": coordinator
        or environ.get("JAX_COORDINATOR_ADDRESS"),
        "--num_processes (JAX_NUM_PROCESSES)": _number("JAX_NUM_PROCESSES", count, environ),
        "--process_id (JAX_PROCESS_ID)": _number("JAX_PROCESS_ID", index, environ),
    }
    missing = [name for name, value in given.items() if value in (None, "")]
    if len(missing) == len(given):
        return None
    if missing:
        raise UserError(f"several processes need all of {', '.join(given)}; missing: {missing[0]}")
    found = Place(*given.values())  # type: ignore[arg-type]
    host, _, port = found.coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--coordinator: {found.coordinator!r} is not HOST:PORT")
    if not 0 <= found.index < found.count:
        raise UserError(
            f"--process_id: {found.index} is not one of 0 to {found.count - 1} "
            f"(--num_processes={found.count})"
        )
    return found


def start(place: Place | None, timeout: int = START_TIMEOUT) -> int:
    """Joins the processes to one JAX system and returns their number; before JAX's first use.

    Raises:
      UserError: process 0 can't be reached within `timeout` seconds, or the processes of a TPU
        slice don't find each other.
    """
    options: dict[str, Any] = {
        "initialization_timeout": timeout,
        "heartbeat_timeout_seconds": _HEARTBEAT_TIMEOUT,
        "shutdown_timeout_seconds": _FINISH_TIMEOUT,
    }
    if place is not None and place.count > 1:
        if place.index:
            _await_coordinator(place.coordinator, timeout)
        jax.distributed.initialize(
            place.coordinator,
            place.count,
            place.index,
            cluster_detection_method="deactivate",
            **options,
        )
        return place.count
    if place is None and on_tpu_slice(os.environ):
        try:
            jax.distributed.initialize(**options)
        except (RuntimeError, OSError) as error:
            raise UserError(f"the hosts of this TPU don't find each other: {error}") from error
        return jax.process_count()
    return 1


def agree(value: int) -> int:
    """The first process's `value`, on all of them; each must call this alike."""
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Runs a block in which all processes end, within seconds, when one of them fails or dies.

    A failure is reported as `commands.run_command` would, by the process itself and by the others.
    The process then ends at once: JAX's orderly end would wait for the processes that are gone.
    """
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        yield
        return
    watch = None
    try:
        watch = start_watch()
        yield
    except Interrupted:  # all stop at the same step
        if watch:
            watch.tell_done()
        jax.distributed.shutdown()
        raise
    except BaseException as error:
        if watch and isinstance(error, jax.errors.JaxRuntimeError):
            watch.await_end()  # a lost process breaks the others' collectives: name the cause
        code = commands.report(error)
        if watch:
            watch.tell_failure(code, error)
        os._exit(code)
    watch.tell_done()
    jax.distributed.shutdown()


def start_watch() -> Watch:
    """All processes connected to the first, at the host where JAX itself has reached it.

    Its own name would not do: pods without host networking resolve each other's no further than
    the address that JAX was given.

    Raises:
      UserError: one of them can't connect.
    """
    index, count = jax.process_index(), jax.process_count()
    listener = _listen() if index == 0 else None
    port = agree(listener.getsockname()[1] if listener else 0)
    if listener:
        return Watch.listen(listener, count)
    host = (private_surfaces.coordinator_address() or "").rpartition(":")[0].strip("[]")
    return Watch.connect(host, port, index, count)


def _listen() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _await_coordinator(address: str, timeout: int) -> None:
    """JAX would abort the program where nobody answers."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"--coordinator: nobody answers at {address} after {timeout} s ({error}): is "
                    "process 0 running there, and the port open?"
                ) from None
        time.sleep(0.5)


def _number(name: str, flag: int | None, environ: Mapping[str, str]) -> int | None:
    if flag is not None or not (text := environ.get(name)):
        return flag
    if not text.isdigit():
        raise UserError(f"{name}: {text!r} is not a number")
    return int(text)


def on_tpu_slice(environ: Mapping[str, str]) -> bool:
    """Whether this is a TPU host that may have others beside it: JAX then finds them.

    Several slices name themselves in the environment, and Kubernetes the hosts of one; TPU VMs ask
    their machine's metadata server, which notebooks on one host switch off. A device file is no
    proof of a TPU, but a chip that libtpu could drive is.
    """
    if environ.get("JAX_PLATFORMS", "tpu") not in ("", "tpu", "tpu,cpu"):
        return False
    if not (environ.get("TPU_LIBRARY_PATH") or importlib.util.find_spec("libtpu")):
        return False
    if "MEGASCALE_COORDINATOR_ADDRESS" in environ or "MEGASCALE_NUM_SLICES" in environ:
        return True
    for name in ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES"):
        if hosts := environ.get(name):
            return "," in hosts
    asks = private_surfaces.NO_METADATA_SERVER not in environ
    return asks and private_surfaces.num_tpu_chips() > 0
