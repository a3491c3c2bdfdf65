"""The model card trains every network, by the command that it records."""

from __future__ import annotations

from itertools import pairwise

import pytest

from benchmarks.model_card import CONFIG, every_second_clip, markdown, settings, training_command
from benchmarks.networks import NETWORKS
from benchmarks.record import RESULTS, read_record
from poseedge.models import create
from poseedge.models.network import LiftingNetwork
from poseedge.network_files import read_table
from poseedge.training import recipe as recipes
from tests.support.training import CLEAN


def test_every_lifting_network_has_a_small_size_for_the_card() -> None:
    assert all(read_table(name, "small") for name in NETWORKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_settings_are_those_of_the_recorded_command(name: str) -> None:
    words = training_command(name, "mocap17", 7)
    given = [value for option, value in pairwise(words) if option == "--set"]
    recipe = recipes.load_training_recipe(name, CONFIG, settings(name))
    assert recipe == recipes.load_training_recipe(name, words[words.index("--config") + 1], given)
    assert recipe.loss == recipes.load_training_recipe(name).loss
    assert (recipe.data.source, recipe.batch) == ("views", read_table(name, "small")["batch"])
    network = create(name, **recipe.network)
    assert isinstance(network, LiftingNetwork)
    assert network.frames in (1, 27)


def test_every_second_clip_is_whole_and_seen_once() -> None:
    kept = every_second_clip(CLEAN).sequences
    clips = list(dict.fromkeys((s.subject, s.action) for s in CLEAN.sequences))
    assert [(s.subject, s.action) for s in kept] == clips[::2]
    assert len({s.camera.id for s in kept}) == 1
    assert all(any(s is other for other in CLEAN.sequences) for s in kept)


def test_card_shows_every_recorded_row_with_its_command() -> None:
    rows = read_record(RESULTS / "model_card")["networks"]
    shown = markdown(rows)
    assert list(rows) == list(NETWORKS)
    for name, row in rows.items():
        assert f"| {name} | {row['test']['gt']['mpjpe_mm']:.1f} |" in shown
        assert row["command"] in shown
