"""The bundle that comes with the package is whole, works without PyTorch, and is what ``export`` gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import poseedge as product
from poseedge.bundle.reading import open_bundle
from poseedge.live.trained import bundled_network
from poseedge.resources import resource
from tests.support.user import Command

BUNDLE = bundled_network()


def test_it_gives_the_poses_that_its_samples_tell() -> None:
    samples = np.load(BUNDLE / "samples.npz")
    lifter = product.load(BUNDLE, "int8")
    away = np.linalg.norm(lifter(samples["keypoints"]) - samples["poses_m"], axis=-1)
    assert away.mean() < 0.004  # INT8 beside PyTorch, as the manifest has it
    assert open_bundle(BUNDLE).checkpoint() == resource("weights", "nanohtnet_live.pth")


def test_it_is_small_enough_to_travel() -> None:
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) < 5_000_000


@pytest.mark.slow
def test_it_is_what_export_gives(poseedge: Command) -> None:
    pytest.importorskip("torch")
    live = resource("weights", "nanohtnet_live.pth")
    what = ("--model", "nanohtnet", "--checkpoint", live, "--precision", "int8")
    made = poseedge("export", *what, "--every", 50, "--output", "fresh")
    assert made.status == 0
    fresh, shipped = Path("fresh"), BUNDLE
    keypoints = np.load(shipped / "samples.npz")["keypoints"]
    np.testing.assert_array_equal(np.load(fresh / "samples.npz")["keypoints"], keypoints)
    poses = [product.load(folder, "int8")(keypoints) for folder in (fresh, shipped)]
    assert np.linalg.norm(poses[0] - poses[1], axis=-1).mean() < 1e-4  # other versions of PyTorch and NumPy round otherwise
    assert {path.name for path in fresh.iterdir()} == {path.name for path in shipped.iterdir()}
