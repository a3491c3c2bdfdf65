"""A headless Chromium, steered through its own debugging protocol."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = [
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=1280,720"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no network: nothing else is reached
    "--disable-background-networking",
]


def path_of_browser() -> str | None:
    """Return where Chromium is, if it is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page in the browser; ``complaints`` are its errors and warnings, ``asked`` the addresses it asked for."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._number, self._session = connection, 0, ""
        self.complaints: list[str] = []
        self.asked: list[str] = []
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> Any:
        """Give a command and wait for its answer."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters, **session}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < end, f"never true: {script}; {self.complaints}"
            time.sleep(0.1)

    def screenshot(self) -> bytes:
        """Return a PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def _note(self, message: Any) -> None:
        method, given = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.asked.append(given["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(given["exceptionDetails"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url')}")
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(given["args"]))


@contextmanager
def opened(browser: str, folder: Path, connect: Callable[..., Any]) -> Iterator[Tab]:
    """Start the browser with a new profile in ``folder``; ``connect`` opens a WebSocket."""
    command = [browser, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            lines = iter(running.stderr.readline, "")
            address = next(found[1] for line in lines if (found := re.search(r"listening on (ws://\S+)", line)))
            with connect(address, max_size=None, compression=None) as connection:
                yield Tab(connection)
        finally:
            running.terminate()
            running.wait(30)
