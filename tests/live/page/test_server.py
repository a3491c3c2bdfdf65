"""The page's server is for this machine's browser alone, gives its own files alone, and never waits for who reads slowly."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poseedge.errors import PoseedgeError
from poseedge.live.page.server import Page

client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")
STATIC = Path(__file__).parents[3] / "poseedge" / "live" / "page" / "static"


@pytest.fixture
def page() -> Iterator[Page]:
    with Page('{"type": "hello"}', port=0) as page:
        yield page


def get(page: Page, path: str, **headers: str) -> tuple[int, bytes]:
    """Ask as no browser would: the path as it is."""
    port = int(page.address.rsplit(":", 1)[1].strip("/"))
    wanted = {"Host": f"127.0.0.1:{port}", **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items()), "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall("\r\n".join(lines).encode())
        content = b"".join(iter(lambda: raw.recv(65536), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def opened(page: Page, **options: Any) -> Any:
    return client.connect(page.address.replace("http", "ws") + "frames", compression=None, **options)


def next_frame(connection: Any) -> Any:
    connection.send('{"want": "frame"}')
    return json.loads(connection.recv(timeout=10))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in STATIC.iterdir() if path.suffix != ".md"))
def test_its_own_files_are_given_as_they_are(page: Page, name: str) -> None:
    assert get(page, f"/{name}") == (200, (STATIC / name).read_bytes())


def test_root_is_the_page(page: Page) -> None:
    assert get(page, "/") == (200, (STATIC / "index.html").read_bytes())


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/..%2fserver.py",
        "/%2e%2e/server.py",
        "//etc/passwd",
        "/static/page.js",
        "/page.js/../../server.py",
        "/a",
    ],
)
def test_no_path_leads_out_of_its_files(page: Page, path: str) -> None:
    assert get(page, path)[0] == 404


def test_foreign_origin_is_refused(page: Page) -> None:
    for origin in ("http://example.org", "null", page.address.strip("/").replace("http", "https")):
        with pytest.raises(exceptions.InvalidStatus) as refused:
            opened(page, origin=origin).close()
        assert refused.value.response.status_code == 403
        assert get(page, "/", Origin=origin)[0] == 403


def test_own_origin_is_taken(page: Page) -> None:
    with opened(page, origin=page.address.strip("/")) as connection:
        assert json.loads(connection.recv(timeout=10)) == {"type": "hello"}


def test_name_of_another_site_that_leads_here_is_refused(page: Page) -> None:
    assert get(page, "/", Host="example.org")[0] == 403


def test_it_listens_on_this_machine_alone(page: Page) -> None:
    assert page.address.startswith("http://127.0.0.1:")
    assert page._server.socket.getsockname()[0] == "127.0.0.1"


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        if path.suffix in (".html", ".css", ".js") and path.name != "three.bundle.js":
            assert not re.search(r"https?:|//[a-z]+\.", path.read_text()), path.name


def test_port_that_is_taken_is_said(page: Page) -> None:
    port = int(page.address.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(PoseedgeError, match=f"port {port} cannot be opened") as refused:
        Page("", port).__enter__()
    assert "--port" in refused.value.hint


def test_who_asks_is_given_the_newest_frame_once(page: Page) -> None:
    with opened(page) as connection:
        connection.recv(timeout=10)
        for number in range(5):
            page.show(json.dumps({"frame": number}))
        assert next_frame(connection) == {"frame": 4}
        connection.send('{"want": "frame"}')
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.2)
        page.show('{"frame": 5}')
        assert json.loads(connection.recv(timeout=10)) == {"frame": 5}


@pytest.mark.slow
def test_page_that_never_reads_delays_nobody(page: Page) -> None:
    message = json.dumps({"filler": "x" * 1_000_000})
    stuck = [opened(page, max_queue=1) for _ in range(3)]
    for connection in stuck:
        for _ in range(20):  # asks on and on, and reads nothing
            connection.send('{"want": "frame"}')
    slowest = 0.0
    for _ in range(200):  # more than any buffer between the two holds
        start = time.perf_counter()
        page.show(message)
        slowest = max(slowest, time.perf_counter() - start)
        time.sleep(0.002)
    page.show('{"frame": "newest"}')
    assert slowest < 0.5
    with opened(page) as reader:
        reader.recv(timeout=10)
        assert next_frame(reader) == {"frame": "newest"}


def test_what_is_not_understood_is_passed_over(page: Page) -> None:
    page.show('{"frame": 1}')
    with opened(page) as connection:
        connection.recv(timeout=10)
        for text in ("no JSON", "[]", '{"want": "world"}', b"\xff", "[" * 900):
            connection.send(text)
        assert next_frame(connection) == {"frame": 1}


def test_pages_are_told_of_the_end() -> None:
    with Page('{"type": "hello"}', port=0) as page:
        connection = opened(page)
        connection.recv(timeout=10)
    assert json.loads(connection.recv(timeout=10)) == {"type": "end"}
    with pytest.raises(exceptions.ConnectionClosed):
        connection.recv(timeout=10)
