"""On what an export shows parity: all test motion, or what a network that lifts whole sequences can do of it in seconds."""

from __future__ import annotations

from dataclasses import replace

from poseedge.data.h36m import load_dataset
from poseedge.export.proof import shown_on
from poseedge.resources import SAMPLE_DATA, resource
from tests.support.echo import SEQ2FRAME

WHOLE = replace(SEQ2FRAME, frames=81, output_frames=tuple(range(81)))
SAMPLE = load_dataset(resource(*SAMPLE_DATA))
TEST = SAMPLE.of(SAMPLE.test)


def test_a_network_that_lifts_frames_is_shown_on_all_test_motion() -> None:
    assert shown_on(TEST, SEQ2FRAME) is TEST


def test_a_network_that_lifts_sequences_is_shown_each_motion_once_from_all_cameras_in_turn() -> None:
    shown = shown_on(TEST, WHOLE).sequences
    assert [(s.subject, s.action) for s in shown] == list(dict.fromkeys((s.subject, s.action) for s in TEST.sequences))
    assert len({s.camera.id for s in shown}) == 4 == len(shown)
