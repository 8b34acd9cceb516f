"""Processes that notice each other's end.

Every process keeps one connection to the first. Each says, before it closes it, that it is done or
why it failed, as a line `EXIT_CODE REASON`; a connection that closes without a word is a process
that was killed. The first passes what it learns on to all. The operating system closes a dead
process's connections at once, and keep-alive packets find a machine that is gone.

JAX's coordination service has a heartbeat of its own, which stays in charge of what only it can
see: a process that hangs, whose connections the kernel keeps open. Of a process that ends it can't
do three things that a training needs, and these alone are done here:

- Soon: a killed process is noticed in under a second. The heartbeat takes its 30 s (measured with
  jax 0.10.2), but where it was the first process, whose service is gone at once.
- With the right exit code: it aborts the program (SIGABRT, 134), for a mistake in a flag as for a
  lost machine. Schedulers start again what ended with `LOST_PROCESS`, and nothing else.
- With the reason: one line of the process that failed, instead of twenty about the service.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from typing import NoReturn

from churn_jax.errors import UserError
from churn_jax.system.interruption import RESUME

LOST_PROCESS = RESUME  # by starting all processes again

CONNECT_TIMEOUT = 60  # seconds
_NEWS_TIMEOUT = 10
_DONE = "0 done"
# Seconds of silence before the first keep-alive packet, between packets, and packets unanswered:
# 20 s in all, well before JAX's heartbeat (`processes`) would abort the program.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 8, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 4}


class Watch:
    """This process's connections to the others; ends the program when one of them is lost."""

    def __init__(self, index: int, count: int, connections: dict[int, socket.socket]):
        """Follows `connections`, by the index of the process at the other end."""
        self._index, self._count, self._connections = index, count, connections
        self._lock = threading.Lock()
        for peer, connection in connections.items():
            connection.settimeout(None)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEP_ALIVE.items():
                if hasattr(socket, option):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            threading.Thread(target=self._follow, args=(peer, connection), daemon=True).start()

    @classmethod
    def listen(cls, listener: socket.socket, count: int) -> "Watch":
        """The first process's: accepts one connection from each of the others.

        Raises:
          UserError: they don't come.
        """
        listener.settimeout(CONNECT_TIMEOUT)
        connections: dict[int, socket.socket] = {}
        with listener:
            while len(connections) < count - 1:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    missing = sorted({*range(1, count)} - {*connections})
                    raise UserError(
                        f"processes {missing} of {count} don't connect to process 0 within "
                        f"{CONNECT_TIMEOUT} s: is port {listener.getsockname()[1]} open to them?"
                    ) from None
                name = _read_line(connection)
                if name.isdigit() and 0 < int(name) < count:  # not a stranger's port scan
                    connections[int(name)] = connection
                else:
                    connection.close()
        return cls(0, count, connections)

    @classmethod
    def connect(cls, host: str, port: int, index: int, count: int) -> "Watch":
        """The other processes'.

        Raises:
          UserError: the first can't be reached.
        """
        try:
            connection = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
        except OSError as error:
            raise UserError(
                f"process {index} of {count} can't reach process 0 at {host}:{port} ({error}): is "
                "the port open between them?"
            ) from None
        connection.sendall(f"{index}\n".encode())
        return cls(index, count, {0: connection})

    def tell_done(self) -> None:
        """Says that this process will end, and that all is well."""
        self._tell(_DONE)

    def tell_failure(self, code: int, error: BaseException) -> None:
        """Says that this process ends with `code`, and why."""
        reason = " ".join(str(error).split()) or type(error).__name__
        self._tell(f"{code} {self._name(self._index)} failed: {reason}")

    def await_end(self) -> None:
        """Gives the news of a lost process time to arrive; returns if there is none."""
        time.sleep(_NEWS_TIMEOUT)

    def _tell(self, message: str) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError):  # it is gone: nobody to tell
                connection.sendall(f"{message}\n".encode())

    def _follow(self, peer: int, connection: socket.socket) -> None:
        message = _read_line(connection)
        if message == _DONE:
            return
        lost = f"{LOST_PROCESS} {self._name(peer)} is gone: killed, out of memory, or cut off"
        self._end(message or lost)

    def _end(self, message: str) -> NoReturn:
        with self._lock:  # what follows from the first loss is not news
            self._tell(message)
            code, _, reason = message.partition(" ")
            again = "; start all again to resume" if int(code) == LOST_PROCESS else ""
            print(f"error: {reason}{again}", file=sys.stderr, flush=True)
            sys.stdout.flush()
            os._exit(int(code))

    def _name(self, index: int) -> str:
        return f"process {index} of {self._count}"


def _read_line(connection: socket.socket) -> str:
    """The next line without its end; empty where the connection is closed or broken."""
    line = b""
    try:
        while (byte := connection.recv(1)) not in (b"", b"\n"):
            line += byte
    except OSError:
        return ""
    return line.decode("utf-8", "replace")
