"""Two things that stand between a client and PostgreSQL: a line that is cut, and a pooler in transaction mode.

Plain TCP, a thread for each direction or client; for servers on this machine without TLS.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import psycopg

from infra.connection import Target, connect


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

    with _listening(serve) as port:
        yield target.to(host="127.0.0.1", port=port)


@contextlib.contextmanager
def transaction_pooler(target: Target, size: int = 3) -> Iterator[Target]:
    """Give each transaction of each client a session from a pool, as PgBouncer's pool_mode=transaction does.

    Args:
        target: The server, the database and the login that all clients get.
        size: Sessions in the pool; the one that was given back last is given out first.
    """
    sessions = [connect(target.to(application_name="pooler")) for _ in range(size)]
    pool = [socket.socket(fileno=os.dup(session.pgconn.socket)) for session in sessions]
    for end in pool:
        end.settimeout(None)
    free = threading.Condition()

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            _welcome(client, sessions[0])
            while True:
                kind, first = _message(client)
                if kind == b"X":
                    return
                with free:
                    free.wait_for(lambda: bool(pool))
                    upstream = pool.pop()
                try:
                    _transaction(client, upstream, first)
                finally:
                    with free:
                        pool.append(upstream)
                        free.notify()

    with _listening(serve) as port:
        yield target.to(host="127.0.0.1", port=port)
    for session in sessions:
        session.close()


def _transaction(client: socket.socket, upstream: socket.socket, first: bytes) -> None:
    """Pass messages both ways until the server says that no transaction is open."""
    message = first
    while True:
        upstream.sendall(message)
        if message[:1] in (b"Q", b"S"):
            while True:
                kind, answer = _message(upstream)
                client.sendall(answer)
                if kind == b"Z":
                    break
            if answer[5:6] == b"I":
                return
        kind, message = _message(client)
        if kind == b"X":
            upstream.sendall(b"Q" + struct.pack("!i", 13) + b"ROLLBACK\0")
            while _message(upstream)[0] != b"Z":
                pass
            raise EOFError


def _welcome(client: socket.socket, session: psycopg.Connection[object]) -> None:
    """Answer the start of a connection: no TLS, no password, the server's settings, a key of our own."""
    while True:
        length, code = struct.unpack("!ii", _exactly(client, 8))
        _exactly(client, length - 8)
        if code == 3 << 16:
            break
        client.sendall(b"N")  # a request for TLS or GSSAPI
    client.sendall(b"R" + struct.pack("!ii", 8, 0))
    for name in ("server_version", "client_encoding", "standard_conforming_strings", "TimeZone", "DateStyle"):
        value = session.info.parameter_status(name) or ""
        body = name.encode() + b"\0" + value.encode() + b"\0"
        client.sendall(b"S" + struct.pack("!i", len(body) + 4) + body)
    client.sendall(b"K" + struct.pack("!iii", 12, 4711, 4711) + b"Z" + struct.pack("!i", 5) + b"I")


@contextlib.contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
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


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    """Return the kind of the next message of the protocol, and the whole of it."""
    head = _exactly(source, 5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + _exactly(source, length - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        piece = source.recv(count - len(parts))
        if not piece:
            raise EOFError
        parts += piece
    return parts
