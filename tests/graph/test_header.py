"""An ONNX file's metadata and operators are read without its weights, as ``onnx`` reads them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from poseedge.errors import ArtefactError
from poseedge.graph.header import read_header
from tests.support import samples


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_header_is_what_onnx_finds(small_bundle: Path, precision: str) -> None:
    path = small_bundle / f"nanohtnet_{precision}.onnx"
    model, header = onnx.load(path), read_header(path)
    assert header.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert header.operators == {node.op_type for node in model.graph.node}
    assert header.quantized == (precision == "int8")


def test_graph_without_metadata_has_none(tmp_path: Path) -> None:
    model = onnx.load(samples.lifting_graph(tmp_path / "a.onnx"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "a.onnx")
    assert read_header(tmp_path / "a.onnx").metadata == {}
    assert read_header(tmp_path / "a.onnx").operators == {"MatMul"}


def test_graph_cut_anywhere_is_no_onnx_file(tmp_path: Path) -> None:
    whole = samples.lifting_graph(tmp_path / "a.onnx").read_bytes()

    def refused(end: int) -> bool:
        (tmp_path / "cut.onnx").write_bytes(whole[:end])
        try:
            read_header(tmp_path / "cut.onnx")
        except ArtefactError:
            return True
        return False

    # But between the model's own fields, where nothing shows that there were more.
    assert sum(refused(end) for end in range(len(whole))) > len(whole) - 20


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x0b" * 40, b"PK\x03\x04 a zip file", b"<html></html>"])
def test_other_files_are_no_onnx_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"a\.onnx: no ONNX file") as caught:
        read_header(tmp_path / "a.onnx")
    assert caught.value.hint
