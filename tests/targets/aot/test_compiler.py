"""Where the compiler cannot run it says what to install; what a build tells becomes findings."""

from __future__ import annotations

import platform
import shutil
from dataclasses import replace
from importlib import util

import onnxruntime
import pytest

from poseedge.errors import PoseedgeError
from poseedge.graph.graph import Graph
from poseedge.targets.aot import Compiled, Compiler, missing_part, nearest_architecture, verdict
from poseedge.targets.aot.verdict import weight_bytes
from tests.support import qdq_graphs

WHOLE = Compiled("sm86", nodes=5, engines=1, engine_bytes=9000, weight_bytes=1700)


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Pretend that everything is installed; the test takes one thing away."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(util, "find_spec", lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(onnxruntime, "ModelCompiler", object, raising=False)
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", object, raising=False)
    return monkeypatch


def test_complete_machine_lacks_nothing(complete: pytest.MonkeyPatch) -> None:
    assert missing_part() == ("", "")


def test_another_platform_is_told(complete: pytest.MonkeyPatch) -> None:
    complete.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(PoseedgeError, match="this is Linux aarch64"):
        Compiler()


def test_missing_package_is_told_with_the_command(complete: pytest.MonkeyPatch) -> None:
    complete.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(PoseedgeError, match="is not installed") as caught:
        Compiler()
    assert caught.value.hint == "install it with: pip install 'poseedge[aot]'"


def test_old_onnxruntime_is_told(complete: pytest.MonkeyPatch) -> None:
    complete.delattr(onnxruntime, "ModelCompiler")
    reason, hint = missing_part()
    assert "cannot load execution providers" in reason
    assert "1.24" in hint


@pytest.mark.parametrize(("tool", "package"), [("gcc", "gcc"), ("nm", "binutils")])
def test_missing_tool_is_told(complete: pytest.MonkeyPatch, tool: str, package: str) -> None:
    complete.setattr(shutil, "which", lambda name: None if name == tool else name)
    assert missing_part() == (f"{tool} is not installed", f"install it with: sudo apt install {package}")


@pytest.mark.parametrize(("capability", "architecture"), [("5.3", "sm86"), ("8.7", "sm86"), ("11.0", "sm120"), ("8.9", "sm89")])
def test_board_is_built_for_the_nearest_architecture(capability: str, architecture: str) -> None:
    assert nearest_architecture(capability) == architecture


def test_whole_build_with_small_weights_has_no_finding() -> None:
    assert WHOLE.built
    assert verdict(Graph(qdq_graphs.quantized()), WHOLE) == []


def test_refusal_is_an_error_in_tensorrt_s_words() -> None:
    refused = Compiled("sm86", "TensorRT ERROR: no UINT8")
    assert not refused.built
    [finding] = verdict(Graph(qdq_graphs.quantized()), refused)
    assert (finding.rule, finding.severity) == ("compile", "error")
    assert "no UINT8" in finding.message


def test_node_outside_is_an_error() -> None:
    [finding] = verdict(Graph(qdq_graphs.quantized()), replace(WHOLE, outside=["TopK choose"]))
    assert (finding.rule, finding.severity, finding.node) == ("compile-outside", "error", "TopK choose")


def test_int8_weights_kept_in_float_are_a_warning() -> None:
    [finding] = verdict(Graph(qdq_graphs.quantized()), replace(WHOLE, weight_bytes=4 * 32 * 48))
    assert (finding.rule, finding.severity) == ("compile-weights", "warning")
    assert "0.01 MB of weights, of 0.00 MB" in finding.message


def test_weights_behind_a_quantize_node_count_one_byte_each() -> None:
    scales = 4 * (1 + 48) + (1 + 48)  # with their zero points
    assert weight_bytes(Graph(qdq_graphs.quantized())) == 32 * 48 + scales
