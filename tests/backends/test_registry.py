"""Backends are found, not listed; each opens its files, says whether it works, and what to do if not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from poseedge import backends as package
from poseedge.backends import onnxruntime
from poseedge.backends.registry import backend_for, backends, load, names_for, probe, probes
from poseedge.errors import ArtefactError, PoseedgeError
from tests.doubles.binding import Fake
from tests.doubles.install import uninstall
from tests.support import samples

HEAVY = {"torch", "onnx", "onnxruntime", "openvino", "tensorrt"}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return samples.lifting_graph(tmp_path / "g.onnx")


# Which there are


def test_every_runtime_is_found() -> None:
    assert set(backends()) >= {"onnxruntime", "cuda", "tensorrt-ep", "tensorrt-rtx", "tensorrt", "torch"}


def test_a_new_runtime_is_one_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, graph: Path) -> None:
    (tmp_path / "telepathy.py").write_text(
        "from poseedge.backends.backend import Backend\n"
        "from poseedge.backends.onnxruntime import OnnxLifter\n"
        "def works():\n"
        "    raise RuntimeError('nobody thinks here')\n"
        "def open_lifter(path, opening):\n"
        "    return OnnxLifter(path)\n"
        "BACKENDS = (Backend('telepathy', ('.onnx', '.mind'), open_lifter, works, 'think', usual=False),)\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    backends.cache_clear()
    try:
        assert load(graph, backend="telepathy").spec.model == "sample"
        assert load(graph).backend == "onnxruntime"
        told = probe(backends()["telepathy"])
        assert (told.works, told.detail, told.fix) == (False, "nobody thinks here", "think")
        assert "telepathy" in names_for(".onnx")
    finally:
        backends.cache_clear()
        sys.modules.pop("poseedge.backends.telepathy", None)


def test_looking_for_backends_imports_no_runtime() -> None:
    program = f"import sys\nfrom poseedge.backends.registry import backends\nbackends()\nprint({HEAVY} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr


def test_every_suffix_has_one_usual_backend() -> None:
    usual = [suffix for backend in backends().values() if backend.usual for suffix in backend.suffixes]
    assert len(usual) == len(set(usual))
    assert set(usual) == {suffix for backend in backends().values() for suffix in backend.suffixes}


def test_usual_backend_comes_first() -> None:
    assert names_for(".onnx")[0] == "onnxruntime"


# Which one opens a file


def test_suffix_is_read_in_any_case(tmp_path: Path) -> None:
    assert backend_for(tmp_path / "MODEL.ONNX").name == "onnxruntime"


def test_backend_that_does_not_open_such_files_is_refused(export_inputs: Path) -> None:
    with pytest.raises(PoseedgeError, match=r"small\.pth: backend 'cuda' does not open \.pth files") as caught:
        load(export_inputs / "small.pth", backend="cuda")
    assert caught.value.hint == "Known: torch, torch-compile"


def test_unknown_kind_of_file_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").touch()
    with pytest.raises(ArtefactError, match=r"not a bundle folder") as caught:
        load(tmp_path / "model.tflite")
    assert ".onnx" in caught.value.hint


def test_choice_that_cannot_apply_is_refused(small_bundle: Path, graph: Path) -> None:
    with pytest.raises(PoseedgeError, match="a single file has one precision; 'int8' chooses within a bundle"):
        load(graph, "int8")
    with pytest.raises(PoseedgeError, match="a bundle knows its network"):
        load(small_bundle, model="mixste")
    with pytest.raises(PoseedgeError, match="--model and --set are for checkpoints"):
        load(graph, model="mixste")
    with pytest.raises(ArtefactError, match="holds no  graph"):
        load(small_bundle, "")


# Whether it works


def test_every_backend_that_does_not_work_comes_with_a_fix() -> None:
    assert all(told.works or told.fix for told in probes())


def test_processor_works_wherever_onnx_runtime_is() -> None:
    told = probe(backends()["onnxruntime"])
    assert (told.works, told.detail) == (True, ort.__version__)


def test_missing_package_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, "torch")
    told = probe(backends()["torch"])
    assert not told.works
    assert "poseedge[export]" in told.fix


def test_missing_openvino_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    uninstall(monkeypatch, "openvino")
    with pytest.raises(PoseedgeError, match="needs the Python package 'openvino'") as caught:
        load(graph, backend="openvino")
    assert caught.value.hint == "install it with: pip install 'poseedge[openvino]'"
    assert probe(backends()["openvino"]).fix == caught.value.hint


def test_silent_fallback_to_the_processor_does_not_count_as_working(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [onnxruntime.CUDA, onnxruntime.CPU])
    monkeypatch.setattr(ort.InferenceSession, "get_providers", lambda self: [onnxruntime.CPU])
    monkeypatch.setattr(ort.InferenceSession, "__init__", lambda self, *args, **kwargs: None)
    told = probe(backends()["cuda"])
    assert (told.works, told.detail) == (False, "falls back to CPUExecutionProvider")


def test_tensorrt_works_with_a_cuda_library_only(device: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    told = probe(backends()["tensorrt"])
    assert (told.works, told.detail) == (True, f"{device.version}, Orin through pycuda")
    uninstall(monkeypatch, "pycuda.driver")
    told = probe(backends()["tensorrt"])
    assert not told.works
    assert "neither pycuda nor cuda-python is installed" in told.detail
    assert "pip install pycuda" in told.fix
