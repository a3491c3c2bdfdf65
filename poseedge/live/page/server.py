"""The page's server: its own files, a WebSocket on which frames are fetched, and downloads; for this machine alone."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from poseedge.errors import PoseedgeError, require
from poseedge.live.page.messages import END

PORT = 8765
HOST = "127.0.0.1"
_STATIC = Path(__file__).parent / "static"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}
_SOCKET = "/frames"
_LARGEST = 1024  # bytes of what a page may say
_GOODBYE_S = 0.5  # for a page to take the last message
_HANDSHAKE_S = 3.0
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Files = dict[str, Callable[[], tuple[str, bytes]]]  # by path: the name to save it under, and its bytes
_log = logging.getLogger("poseedge.page")
_log.setLevel(logging.CRITICAL)  # a browser that goes away is no news


@dataclass
class _Client:
    """One page: it asks for a frame when it has taken the last, so that a slow one is given fewer."""

    connection: Any
    wants: bool = False
    seen: int = 0  # number of the last message that it was given


class Page:
    """Serves the page; ``show`` never waits for a browser. Binds 127.0.0.1, and takes no request from another site's page.

    Paths other than the page's files and ``downloads`` do not exist.
    """

    def __init__(self, hello: str, port: int = PORT, told: Callable[[dict[str, Any]], None] | None = None) -> None:
        """``hello``: first message to each page; ``port`` 0 takes any; ``told``: hears what pages say."""
        self._hello, self._port, self._told = hello, port, told
        self.downloads: Files = {}
        self._files = {f"/{path.name}": path for path in _STATIC.iterdir() if path.suffix in _KINDS}
        self._files["/"] = self._files["/index.html"]
        self._changed = threading.Condition()
        self._newest, self._number, self._closing = "", 0, False
        self._clients: list[_Client] = []
        self._server: Any = None

    @property
    def address(self) -> str:
        """Return what to type into a browser."""
        return f"http://{HOST}:{self._port}/"

    def __enter__(self) -> Page:
        """Start to serve; raises ``PoseedgeError`` if the port is taken."""
        serve = require("websockets.sync.server", "demo").serve
        listening = listen(self._port)
        self._port = listening.getsockname()[1]
        self._server = serve(
            self._attend,
            sock=listening,
            process_request=self._answer,
            compression=None,  # nothing leaves the machine
            open_timeout=_HANDSHAKE_S,
            close_timeout=_GOODBYE_S,
            max_size=_LARGEST,
            logger=_log,
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Say goodbye to all pages and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._clients, _GOODBYE_S)
            left = list(self._clients)
        for client in left:  # one that does not read
            with suppress(OSError):
                client.connection.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()

    def show(self, message: str) -> None:
        """Make ``message`` the newest frame, which pages are given when they ask."""
        with self._changed:
            self._newest, self._number = message, self._number + 1
            self._changed.notify_all()

    def _answer(self, connection: Any, request: Any) -> Any:
        """Return the answer to a request, or None where the WebSocket may be opened."""
        headers = request.headers
        hosts = [f"{name}:{self._port}" for name in (HOST, "localhost")]
        # Another name that leads here is a foreign site's (DNS rebinding).
        if headers.get_all("Host") not in [[host] for host in hosts]:
            return _response(403, "text/plain", b"this page is for this machine alone\n")
        if headers.get_all("Origin") not in ([], *([f"http://{host}"] for host in hosts)):
            return _response(403, "text/plain", b"another site's page may not ask\n")
        path = request.path.partition("?")[0]
        if path == _SOCKET:
            return None
        if path in self._files:
            file = self._files[path]
            sockets = " ".join(f"ws://{host}" for host in hosts)
            policy = f"default-src 'self'; img-src data:; connect-src {sockets}; base-uri 'none'; frame-ancestors 'none'"
            return _response(200, _KINDS[file.suffix], file.read_bytes(), {"Content-Security-Policy": policy})
        if path in self.downloads:
            return self._download(path)
        return _response(404, "text/plain", b"there is no such file\n")

    def _download(self, path: str) -> Any:
        try:
            name, content = self.downloads[path]()
        except PoseedgeError as error:
            return _response(409, "text/plain", f"{error}\n".encode())
        return _response(200, "application/octet-stream", content, {"Content-Disposition": f'attachment; filename="{name}"'})

    def _attend(self, connection: Any) -> None:
        """Serve one page: hear it here, and write to it in a thread of its own."""
        client = _Client(connection)
        with self._changed:
            self._clients.append(client)
        writer = threading.Thread(target=self._write, args=(client,), daemon=True)
        writer.start()
        try:
            for text in connection:
                self._hear(client, text)
        finally:
            with self._changed:
                if client in self._clients:
                    self._clients.remove(client)
                self._changed.notify_all()

    def _hear(self, client: _Client, text: str | bytes) -> None:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        if said.get("want") == "frame":
            with self._changed:
                client.wants = True
                self._changed.notify_all()
        elif self._told is not None:
            self._told(said)

    def _write(self, client: _Client) -> None:
        closed = require("websockets.exceptions", "demo").ConnectionClosed
        with suppress(closed, OSError):
            client.connection.send(self._hello)
            while (message := self._next(client)) is not None:
                client.connection.send(message)
            client.connection.send(END)
            client.connection.close()

    def _next(self, client: _Client) -> str | None:
        """Wait for the next message to a page that asked for one; None: no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone(client) or (client.wants and client.seen < self._number))
            if self._gone(client):
                return None
            client.wants, client.seen = False, self._number
            return self._newest

    def _gone(self, client: _Client) -> bool:
        return self._closing or client not in self._clients


def listen(port: int) -> socket.socket:
    """Open ``port`` of this machine alone; raises ``PoseedgeError`` if it is taken."""
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise PoseedgeError(f"port {port} cannot be opened ({error})", "choose another: --port 8766") from error


class FrameRate:
    """Frames a second over the last two seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def tick(self) -> float:
        """Count a frame now; return the rate."""
        now = time.monotonic()
        self._times = [*(before for before in self._times if before > now - 2.0), now]
        over = now - self._times[0]
        return (len(self._times) - 1) / over if over > 0 else 0.0


def _response(status: int, kind: str, body: bytes, more: dict[str, str] | None = None) -> Any:
    http, structures = require("websockets.http11", "demo"), require("websockets.datastructures", "demo")
    headers = structures.Headers(
        {
            "Content-Type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
            "Content-Length": str(len(body)),
            "Connection": "close",
            **_SAFE,
            **(more or {}),
        }
    )
    reasons = {200: "OK", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
    return http.Response(status, reasons[status], headers, body)
