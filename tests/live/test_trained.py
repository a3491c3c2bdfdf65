"""What a network was trained on is known by its weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import poseedge
from poseedge.live.trained import TrainedOn, bundled_network, trained_on
from poseedge.resources import resource
from tests.support import motion
from tests.support.linear_lifter import LinearLifter, clip_of


def test_bundled_weights_know_the_trunk_they_were_trained_with(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    copy = Path(shutil.copy(resource("weights", "nanohtnet.pth"), tmp_path / "mine.pth"))
    assert trained_on(poseedge.load(copy)) == TrainedOn(trunk="fitted")


def test_bundle_that_travels_with_the_package_is_the_default_and_knows_it_too() -> None:
    assert trained_on(poseedge.load(bundled_network())) == TrainedOn(trunk="fitted", lean_share=0.0)
    clip = clip_of(motion.coco(), layout="coco17")
    lifted = poseedge.lift(clip)
    np.testing.assert_array_equal(lifted.poses_m, poseedge.lift(clip, bundled_network(), trunk="fitted").poses_m)
    assert (lifted.meta["precision"], lifted.meta["trunk"]) == ("int8", "fitted")


def test_graph_of_other_weights_is_taken_for_one_of_the_papers(small_bundle: Path) -> None:
    lifter = poseedge.load(small_bundle)
    assert len(lifter.spec.weights_sha256) == 64
    assert trained_on(lifter) == TrainedOn(trunk="papers")


def test_frame_rate_of_a_training_of_ours_goes_with_its_weights_and_graphs(export_inputs: Path, tmp_path: Path) -> None:
    from poseedge.export.pipeline import export_bundle
    from poseedge.models.checkpoints import load_checkpoint, save_checkpoint
    from tests.support import small_export

    network = load_checkpoint(export_inputs / "small.pth")
    assert network.fps is None
    network.fps = 30.0
    save_checkpoint(tmp_path / "mine.pth", network, {})
    assert trained_on(poseedge.load(tmp_path / "mine.pth")) == TrainedOn(fps=30.0)
    job = small_export.job(export_inputs, tmp_path / "bundle", checkpoint=tmp_path / "mine.pth", precisions=("fp32",))
    warnings = export_bundle(job).warnings
    assert trained_on(poseedge.load(tmp_path / "bundle")) == TrainedOn(fps=30.0)
    assert sum("50 frames per second, and the network is taken to know 30" in line for line in warnings) == 1


def test_network_without_a_recipe_is_taken_for_one_of_the_papers() -> None:
    assert trained_on(LinearLifter()) == TrainedOn()
