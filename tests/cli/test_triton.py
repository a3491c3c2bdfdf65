"""``export --triton`` and ``build --triton`` write one model repository, which a server can load."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.fixtures import Install
from tests.support.engines import write_graph
from tests.support.user import Command


def exported(poseedge: Command, inputs: Path, folder: Path, *options: str | Path) -> str:
    """Export the small network; return what was printed."""
    words = ["export", "--model", "nanohtnet", "--checkpoint", inputs / "small.pth", "--recipe", inputs / "small.toml"]
    words += ["--precision", "fp32", "--data", inputs / "data", "--calib", inputs / "data", "--output", folder / "bundle"]
    done = poseedge(*words, *options)
    assert done.status == 0, done.err
    return done.out


def test_every_exported_precision_becomes_a_model(poseedge: Command, export_inputs: Path, tmp_path: Path) -> None:
    told = exported(poseedge, export_inputs, tmp_path, "--triton", tmp_path / "models", "--free-batch")
    assert told.splitlines()[-2:] == [
        f"model repository {tmp_path / 'models'}: written",
        f"next: poseedge bench {tmp_path / 'bundle'}",
    ]
    [model] = (tmp_path / "models").iterdir()
    assert model.name == "nanohtnet_fp32"
    assert (model / "1" / "model.onnx").read_bytes() == (tmp_path / "bundle" / "nanohtnet_fp32.onnx").read_bytes()
    assert "max_batch_size: 64\n" in (model / "config.pbtxt").read_text()


def test_a_model_that_cannot_be_written_is_told_before_the_export(poseedge: Command, export_inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "nanohtnet_fp16" / "1").mkdir(parents=True)
    done = poseedge("export", "--model", "nanohtnet", "--output", tmp_path / "bundle", "--triton", tmp_path / "models")
    assert (done.status, (tmp_path / "bundle").exists()) == (2, False)
    assert "nanohtnet_fp16: is there, and poseedge did not write it" in done.err.replace("\n", "")


def test_an_engine_takes_the_place_of_its_graph(poseedge: Command, install_tensorrt: Install, tmp_path: Path) -> None:
    install_tensorrt("8.6.2.3")
    graph = write_graph(tmp_path / "small.onnx", batch="batch")
    done = poseedge("build", graph, "--max-batch", "4", "--triton", tmp_path / "models", "--json")
    assert done.status == 0, done.err
    model = tmp_path / "models" / "small"
    assert (model / "1" / "model.plan").read_bytes() == Path(done.json["engine"]).read_bytes()
    config = (model / "config.pbtxt").read_text()
    assert 'platform: "tensorrt_plan"' in config
    assert "data_type: TYPE_INT32" in config  # TensorRT 8 has no INT64
