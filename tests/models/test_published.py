"""The published facts of each network, as ``poseedge models`` shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

import poseedge.models
from poseedge.models import names

tomllib = pytest.importorskip("tomllib", reason="part of Python since 3.11")

FILES = sorted((Path(poseedge.models.__file__).parent / "published").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_facts_name_the_paper_and_say_where_each_number_comes_from(path: Path) -> None:
    facts = tomllib.loads(path.read_text())
    assert path.stem in names()
    assert facts.keys() >= {"title", "paper", "venue", "year", "code", "mode"}
    assert facts["mode"] in ("seq2seq", "seq2frame")
    if "published_mpjpe_mm" in facts:
        assert facts.keys() >= {"published_on", "source"}


def test_only_the_reconstructed_network_is_marked_so() -> None:
    assert [path.stem for path in FILES if tomllib.loads(path.read_text()).get("reconstruction")] == ["nehsnet"]
