"""An HTTP API in this process: it keeps every request as it came and answers as the test says."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from servers import free_port

__all__ = ["Api", "Asked", "RawApi", "certificate", "free_port"]


@dataclass
class Asked:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    fields: list[tuple[str, str]] = field(default_factory=list)

    def field(self, name: str) -> str | None:
        return dict(self.fields).get(name)


@dataclass
class Said:
    status: int = 200
    body: str | bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Api:
    """`answer` gives a Said for each request; `with Api(...) as api: api.url`."""

    def __init__(
        self, answer: Callable[[Asked], Any] = lambda asked: Said(), tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.asked: list[Asked] = []
        self.answer, api = answer, self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")
                asked = Asked(self.command, path, query, dict(self.headers), body)
                asked.fields = parse_qsl(query, keep_blank_values=True)
                if "form" in self.headers.get("Content-Type", ""):
                    asked.fields += parse_qsl(body.decode("latin-1"), keep_blank_values=True)
                api.asked.append(asked)
                said = api.answer(asked)
                octets = said.body.encode() if isinstance(said.body, str) else said.body
                with suppress(OSError):
                    self.send_response(said.status)
                    for name, value in {"Content-Length": str(len(octets)), **said.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(octets)

            do_GET = do_POST = do_PUT = _serve

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = False
        self._server.block_on_close = False
        self._connections: list[socket.socket] = []
        get_request = self._server.get_request

        def keep() -> Any:
            connection, address = get_request()
            self._connections.append(connection)
            return connection, address

        self._server.get_request = keep  # type: ignore[method-assign]
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Api:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class RawApi:
    """A socket that reads a request and then does what `act(connection)` does: half answers, and none."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> RawApi:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(20)
            heard = b""
            while b"\r\n\r\n" not in heard:
                data = connection.recv(65536)
                if not data:
                    return  # somebody who looked whether we are there
                heard += data
            self.requests += 1
            self._act(connection)

    def wait(self, seconds: float) -> None:
        """Say nothing for so long, or until the test is over."""
        self._over.wait(seconds)


def certificate(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate of its own authority for that host: the file that trusts it, and a server's context."""
    import subprocess

    key, cert = folder / f"{host}.key", folder / f"{host}.pem"
    name = f"IP:{host}" if host[0].isdigit() else f"DNS:{host}"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
        + ["-addext", f"subjectAltName={name}", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
