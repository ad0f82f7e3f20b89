"""A line between a client and PostgreSQL that can be cut.

Plain TCP, a thread for each direction; for servers on this machine without TLS.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from infra.connection import Target


@contextlib.contextmanager
def cutting_line(target: Target, cuts: Callable[[bytes], bool]) -> Iterator[Target]:
    """Forward to a server, and cut the connection instead of passing on an answer that `cuts` says yes to.

    Args:
        target: The server.
        cuts: Asked about each piece of an answer; it may keep count.
    """

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection((target.host, target.port)) as upstream:
            asking = threading.Thread(target=_pass_on, args=(client, upstream), daemon=True)
            asking.start()
            while piece := _received(upstream):
                if cuts(piece):
                    break
                client.sendall(piece)
            for end in (client, upstream):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    with listening(serve) as port:
        yield target.to(host="127.0.0.1", port=port)


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections on a free port, each in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := _received(source):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


def _received(source: socket.socket) -> bytes:
    with contextlib.suppress(OSError):
        return source.recv(65536)
    return b""
