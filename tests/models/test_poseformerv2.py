"""PoseFormerV2: every stage equals the published network, and the frames and frequencies that it keeps are the right ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseedge.arrays import AnyArray
from poseedge.errors import PoseedgeError
from poseedge.models import create, load_checkpoint
from poseedge.models.poseformerv2 import PoseFormerV2, cosine_transform
from tests.support import golden
from tests.support.capture import intermediates
from tests.support.networks import drawn

CASES = ["poseformerv2", "poseformerv2-27", "poseformerv2-small"]
INSIDE = {
    "freq_embed": "Freq_embedding",
    "joint_embed": "Joint_embedding",
    "spatial0": "Spatial_blocks.0",
    "spatial_norm": "Spatial_norm",
    "block0_attn": "blocks.0.attn",
    "block0_mlp1": "blocks.0.mlp1",
    "block0": "blocks.0",
    "temporal_norm": "Temporal_norm",
    "weighted_mean": "weighted_mean",
    "weighted_mean_": "weighted_mean_",
}


def network(name: str) -> PoseFormerV2:
    made = golden.network(name)
    assert isinstance(made, PoseFormerV2)
    return made


def thinned(found: AnyArray, stored: AnyArray, frames: int) -> AnyArray:
    """Return what ``stored`` holds of a stage: batch item 0, three of the kept frames in the large case, some channels."""
    per_frame = found.reshape(-1, frames, *found.shape[1:])[0] if stored.ndim == 3 else found[0]
    if stored.ndim == 3 and len(stored) != frames:
        per_frame = per_frame[[0, frames // 2, frames - 1]]
    return per_frame[..., :: per_frame.shape[-1] // stored.shape[-1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_stage_equals_the_published_network(name: str) -> None:
    stored, made = golden.arrays(name), network(name)
    for label, value in intermediates(made, INSIDE, stored["input"]).items():
        found = thinned(value, stored[label], made.frames_kept)
        atol = 3e-5 if label == "freq_embed" else 1e-5  # values reach 30, and sum 243 frames
        np.testing.assert_allclose(found, stored[label], rtol=1e-4, atol=atol, err_msg=label)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_frequencies_are_those_of_the_unnormalised_transform(name: str) -> None:
    stored, made = golden.arrays(name), network(name)
    found = made.coefficients @ torch.from_numpy(stored["input"]).flatten(2)
    np.testing.assert_allclose(found[0], stored["dct_tokens"], rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("length", [1, 4, 7, 243])
def test_transform_is_the_fourier_transform_of_the_signal_and_its_mirror(length: int) -> None:
    signal = np.random.default_rng(0).standard_normal((length, 3))
    spectrum = np.fft.fft(np.concatenate([signal, signal[::-1]]), axis=0)[:length]
    half_a_step = np.exp(-0.5j * np.pi * np.arange(length) / length)[:, None]
    np.testing.assert_allclose(cosine_transform(length) @ signal, (spectrum * half_a_step).real, atol=1e-9)


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"frames": 243, "frames_kept": 27}, range(108, 135)),
        ({"frames": 27, "frames_kept": 1}, range(13, 14)),
        ({"frames": 81, "frames_kept": 9}, range(36, 45)),
    ],
)
def test_kept_frames_lie_around_the_centre(config: dict[str, int], kept: range) -> None:
    made = create("poseformerv2", coeffs_kept=3, **config)
    assert isinstance(made, PoseFormerV2)
    assert range(made.kept.start, made.kept.stop) == kept


def test_no_coefficients_given_means_as_many_as_frames() -> None:
    made = create("poseformerv2", frames=27, frames_kept=3, coeffs_kept=0)
    assert isinstance(made, PoseFormerV2)
    assert made.coeffs_kept == 3


@pytest.mark.parametrize(("kept", "coefficients", "window"), [(27, 27, 243), (9, 9, 81), (3, 3, 81)])
def test_published_file_is_recognised_and_its_window_assumed(kept: int, coefficients: int, window: int, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"frames_kept": kept, "coeffs_kept": coefficients, "channel": 8, "depth": 1}
    made = drawn("poseformerv2", frames=window, **sizes)
    state = {f"module.{key}": value for key, value in made.state_dict().items()}
    torch.save({"epoch": 200, "random_state": np.random.RandomState(1234), "model_pos": state}, tmp_path / "best_epoch.bin")
    loaded = load_checkpoint(tmp_path / "best_epoch.bin")
    assert loaded.config == made.config
    assert loaded.identity is not None
    assert "frames" in loaded.identity.assumed
    other = load_checkpoint(tmp_path / "best_epoch.bin", settings={"frames": kept})
    assert isinstance(other, PoseFormerV2)
    assert other.frames == kept


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"frames_kept": 4}, "odd number of frames"),
        ({"frames_kept": 0}, "odd number of frames"),
        ({"frames": 9}, "cannot keep 27 of frames=9"),
        ({"frames": 81, "frames_kept": 9, "coeffs_kept": 82}, "cannot keep 82"),
        ({"channel": 20}, "no multiple of num_heads=8"),
    ],
)
def test_impossible_configurations_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(PoseedgeError, match=said):
        create("poseformerv2", **config)
