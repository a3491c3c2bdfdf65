"""The published facts of each network, as ``poseedge models`` shows them."""

from __future__ import annotations

import pytest

from poseedge.models.registry import lifting_names
from poseedge.network_files import network_files, read_table


def test_every_lifting_network_has_a_file_and_no_other_has() -> None:
    assert list(network_files()) == lifting_names()


@pytest.mark.parametrize("name", network_files())
def test_facts_name_the_paper_and_say_where_each_number_comes_from(name: str) -> None:
    facts = read_table(name, "published")
    assert facts.keys() >= {"title", "paper", "venue", "year", "code", "mode"}
    assert facts["mode"] in ("seq2seq", "seq2frame")
    if "published_mpjpe_mm" in facts:
        assert facts.keys() >= {"published_on", "source"}


def test_only_the_reconstructed_network_is_marked_so() -> None:
    assert [name for name in network_files() if read_table(name, "published").get("reconstruction")] == ["nehsnet"]
