"""What a graph says of itself is read as it was written, or the entry at fault is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poseedge.errors import ArtefactError
from poseedge.graph.metadata import GraphMetadata

WHOLE = GraphMetadata("sample", {"frames": 5}, "int8", (0, 1), "0" * 64, "0.1.0", ort_disabled_optimizers=("A",))


def test_metadata_comes_back_as_it_was_written() -> None:
    assert GraphMetadata.from_props({**WHOLE.to_props(), "author": "somebody"}) == WHOLE


def test_a_streaming_form_alone_says_that_it_streams() -> None:
    assert "poseedge.streams" not in WHOLE.to_props()
    streaming = replace(WHOLE, streams=27)
    assert GraphMetadata.from_props(streaming.to_props()) == streaming


def test_graph_without_metadata_of_ours_has_none() -> None:
    assert GraphMetadata.from_props({"author": "somebody"}) is None


def test_entry_that_a_later_poseedge_added_is_left_aside() -> None:
    assert GraphMetadata.from_props({**WHOLE.to_props(), "poseedge.colour": '"red"'}) == WHOLE


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("model", "sample", "poseedge.model is no JSON"),
        ("model", "[" * 5000, "poseedge.model is no JSON"),
        ("config", "[]", r"poseedge\.config should be dict, found \[\]"),
        ("output_frames", '["0"]', r"poseedge\.output_frames\[0\] should be int, found '0'"),
        ("output_frames", "[1e999]", "poseedge.output_frames is no JSON"),
        ("flip", '"twice"', "poseedge.flip should be one of passes, inside, shared"),
        ("precision", "8", "poseedge.precision should be str, found 8"),
    ],
)
def test_damaged_entry_is_named_with_the_file(key: str, text: str, reason: str) -> None:
    with pytest.raises(ArtefactError, match=rf"a\.onnx: damaged metadata: {reason}") as caught:
        GraphMetadata.from_props({**WHOLE.to_props(), f"poseedge.{key}": text}, "a.onnx")
    assert caught.value.hint


def test_missing_entry_is_named() -> None:
    props = WHOLE.to_props()
    del props["poseedge.model"]
    with pytest.raises(ArtefactError, match=r"poseedge\.model is missing"):
        GraphMetadata.from_props(props)
