"""An engine is kept as long as all of it fits, and never half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poseedge.backends.registry import load
from poseedge.errors import ArtefactError, PoseedgeError
from tests.doubles.binding import Fake
from tests.doubles.engine import Plan
from tests.support.engines import build, engine_files


def test_an_engine_is_built_once(device: Fake, graph: Path) -> None:
    first, second = build(graph), build(graph)
    assert (first.built, second.built, len(device.built)) == (True, False, 1)
    assert first.facts == second.facts
    assert first.path.name == f"small_fp32.{device.version}.sm_87.engine"
    assert engine_files(graph) == [first.path.name, first.path.name + ".json"]


def test_asking_for_a_rebuild_builds_again(some_device: Fake, graph: Path) -> None:
    build(graph)
    assert build(graph, rebuild=True).built


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("onnx_sha256", "0"),
        ("tensorrt", "8.0"),
        ("cuda", "10.2"),
        ("driver", "11.4"),
        ("sm", "sm_53"),
        ("gpu", "Nano"),
        ("sms", 16),
        ("memory_gib", 64),
        ("route", {}),
    ],
)
def test_an_engine_of_other_circumstances_is_built_again(some_device: Fake, graph: Path, key: str, value: Any) -> None:
    sidecar = Path(f"{build(graph).path}.json")
    facts = json.loads(sidecar.read_text())
    facts["identity"][key] = value
    sidecar.write_text(json.dumps(facts))
    again = build(graph)
    assert again.built
    assert f"differs in {key}; building again" in again.said[0]
    assert not build(graph).built


def test_an_engine_with_other_options_is_built_again(some_device: Fake, graph: Path) -> None:
    build(graph)
    assert "differs in options" in build(graph, workspace_mib=32).said[0]


def test_a_truncated_engine_is_built_again(device: Fake, graph: Path) -> None:
    engine = build(graph).path
    engine.write_bytes(engine.read_bytes()[:-100])
    again = build(graph)
    assert again.built
    assert "it is damaged" in again.said[0]
    load(engine)


def test_damaged_facts_are_replaced(some_device: Fake, graph: Path) -> None:
    Path(f"{build(graph).path}.json").write_text("{")
    again = build(graph)
    assert again.built
    assert "does not describe an engine" in again.said[0]


def test_an_unknown_file_is_not_overwritten(some_device: Fake, graph: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.engine").write_text("mine")
    with pytest.raises(ArtefactError, match="exists, and nothing says what it is"):
        build(graph, output=tmp_path / "precious.engine")
    assert (tmp_path / "precious.engine").read_text() == "mine"


def test_kernel_times_are_kept_for_the_next_build(device: Fake, graph: Path) -> None:
    build(graph)
    cache = graph.parent / "engines" / f"{device.version}.sm_87.timing"
    assert b"lift" in cache.read_bytes()
    cache.write_bytes(b"8.0 (5, 3):other")  # of another device
    build(graph, rebuild=True)
    assert b"lift" in cache.read_bytes()
    assert b"other" not in cache.read_bytes()


def test_a_folder_that_cannot_be_written_is_told_before_the_build(
    some_device: Fake, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PoseedgeError, match="engines: cannot be written to") as raised:
        build(graph)
    assert "--output" in raised.value.hint
    assert some_device.built == []


def test_a_full_disk_leaves_no_engine(some_device: Fake, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        build(graph)
    assert engine_files(graph) == []


def test_an_engine_holds_the_graph_that_it_was_built_from(some_device: Fake, graph: Path) -> None:
    from poseedge.engines.facts import graph_path

    made = build(graph)
    _, model = Plan.parse(made.path.read_bytes())
    assert graph_path(made.path, made.facts) == graph
    assert model == graph.read_bytes()
