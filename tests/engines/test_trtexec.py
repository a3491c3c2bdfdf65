"""The command that is printed says to trtexec what was said to the builder, in the words of its version."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.support.engines import calibration, normalized_graph, write_graph


def command(graph: Path, precision: str, **options: Any) -> list[str]:
    """Return the printed words, paths cut to file names."""
    from poseedge.engines.cache import plan_job
    from poseedge.engines.cuda import open_cuda
    from poseedge.engines.options import BuildOptions
    from poseedge.engines.trtexec import trtexec_command

    with closing(open_cuda()) as cuda:
        job = plan_job(graph, BuildOptions(precision, **options), cuda, calibration=calibration)
    text = trtexec_command(job, "keypoints")
    return text.replace(f"{job.output.parent}/", "").replace(f"{graph.parent}/", "").split()


@pytest.mark.parametrize(
    ("version", "precision", "words"),
    [
        (
            "8.2.1.8",
            "fp32",
            "--noTF32 --workspace=256 --timingCacheFile=8.2.1.8.sm_87.timing --profilingVerbosity=detailed --buildOnly",
        ),
        (
            "8.5.2.2",
            "fp16",
            "--fp16 --noTF32 --memPoolSize=workspace:256 --timingCacheFile=8.5.2.2.sm_87.timing "
            "--profilingVerbosity=detailed --buildOnly",
        ),
        (
            "10.3.0",
            "int8",
            "--int8 --fp16 --precisionConstraints=obey --noTF32 --layerPrecisions=choose:fp32,lift:fp32 "
            "--layerOutputTypes=choose:fp32,lift:fp32 --memPoolSize=workspace:256 --timingCacheFile=10.3.0.sm_87.timing "
            "--profilingVerbosity=detailed --maxAuxStreams=0 --skipInference",
        ),
        (
            "10.13.3.9",
            "int8",
            "--stronglyTyped --noTF32 --memPoolSize=workspace:256 --timingCacheFile=10.13.3.9.sm_87.timing "
            "--profilingVerbosity=detailed --maxAuxStreams=0 --skipInference",
        ),
        (
            "11.4.1.4",
            "fp16",
            "--noTF32 --memPoolSize=workspace:256 --timingCacheFile=11.4.1.4.sm_87.timing "
            "--profilingVerbosity=detailed --maxAuxStreams=0 --skipInference",
        ),
    ],
)
def test_command_of_each_version(install_tensorrt: Install, tmp_path: Path, version: str, precision: str, words: str) -> None:
    install_tensorrt(version)
    graph = write_graph(tmp_path / "small.onnx", precision)
    engine = f"--saveEngine=small_{precision}.{version}.sm_87.engine"
    assert command(graph, precision) == ["trtexec", "--onnx=small.onnx", engine, *words.split()]


def test_shapes_of_a_free_batch_and_options(some_device: Fake, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "small.onnx", batch="B")
    found = command(graph, "fp32", batch=2, max_batch=4, optimization_level=5, version_compatible=True)
    shapes = ["--minShapes=keypoints:1x9x17x2", "--optShapes=keypoints:2x9x17x2", "--maxShapes=keypoints:4x9x17x2"]
    assert {*shapes, "--builderOptimizationLevel=5", "--versionCompatible"} < set(found)


def test_pinned_layers_and_calibration(some_device: Fake, tmp_path: Path) -> None:
    found = command(normalized_graph(tmp_path / "norm.onnx"), "int8")
    assert "--precisionConstraints=obey" in found
    [layers] = [word for word in found if word.startswith("--layerPrecisions=")]
    assert set(layers.removeprefix("--layerPrecisions=").split(",")) > {"mean:fp32", "normed:fp32"}
    assert any(word.startswith("--calib=norm.") for word in found)


def test_pinned_layer_with_indices_names_a_type_for_each_output(some_device: Fake, tmp_path: Path) -> None:
    model = onnx.load(write_graph(tmp_path / "half.onnx", "fp16"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([17], np.int64), "count"))
    model.graph.node[0].input[0] = "largest"
    top = helper.make_node("TopK", ["keypoints", "count"], ["largest", "places"], name="top", axis=2)
    model.graph.node.insert(0, top)
    onnx.save(model, tmp_path / "half.onnx")
    found = command(tmp_path / "half.onnx", "fp16")
    assert {"--layerPrecisions=top:fp32", "--layerOutputTypes=top:fp32+int32"} < set(found)


def test_trtexec_of_a_jetson_is_called_by_its_path(
    some_device: Fake, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poseedge.engines import trtexec

    there = tmp_path / "bin" / "trtexec"
    there.parent.mkdir()
    there.touch()
    monkeypatch.setattr(trtexec, "ON_A_JETSON", there)
    assert command(graph, "fp32")[0] == "bin/trtexec"
    there.chmod(0o755)
    monkeypatch.setenv("PATH", str(there.parent))
    assert command(graph, "fp32")[0] == "trtexec"
