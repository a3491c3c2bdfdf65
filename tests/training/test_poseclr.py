"""Contrastive pre-training: views of one instant attract, other instants repel, and an interruption changes nothing."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poseedge.data.h36m import load_dataset
from poseedge.data.windows import mirror_keypoints
from poseedge.errors import DataError, PoseedgeError
from poseedge.models import load_checkpoint
from poseedge.models.nanohtnet import NanoHTNet
from poseedge.training.poseclr import Contrast, InstantSampler, PoseCLR, code, pretraining_network, without_head
from poseedge.training.pretraining import Pretraining, pretrain
from tests.support.folders import MINI

pytestmark = pytest.mark.slow

DATA = load_dataset(MINI, "gt")
FRAMES = 9
SMALL = {"channel": 48, "layers": 1, "d_hid": 48}
CONTRAST = Contrast(queue=32)
WHAT = Pretraining(frames=FRAMES, steps=6, batch=8, contrast=CONTRAST, config=SMALL)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sampler() -> InstantSampler:
    return InstantSampler(DATA, FRAMES)


def model(contrast: Contrast = CONTRAST) -> PoseCLR:
    torch.manual_seed(0)
    return PoseCLR(pretraining_network(FRAMES, contrast.feature_dim, **SMALL), contrast, generator()).eval()


def silent(step: int, row: dict[str, float]) -> None:
    pass


def test_windows_of_an_instant_are_what_all_cameras_saw() -> None:
    windows, instants = sampler().draw(16, generator())
    flat = sampler().keypoints  # (cameras, N, 17, 2)
    for views, instant in zip(windows, instants, strict=True):
        seen = flat[:, instant].numpy()
        centre = views[:, FRAMES // 2].numpy()
        plain = sorted(map(tuple, seen.reshape(len(seen), -1)))
        mirrored = sorted(map(tuple, mirror_keypoints(seen).reshape(len(seen), -1)))
        assert sorted(map(tuple, centre.reshape(len(seen), -1))) in (plain, mirrored)


def test_any_camera_may_be_the_query_and_half_of_the_instants_are_mirrored() -> None:
    windows, instants = sampler().draw(400, generator())
    flat = sampler().keypoints
    query = windows[:, 0, FRAMES // 2]
    plain = torch.stack([(query - flat[camera, instants]).abs().amax(dim=(1, 2)) == 0 for camera in range(len(flat))])
    assert 0.4 < plain.any(dim=0).float().mean() < 0.6
    assert (plain.sum(dim=1) > 20).all()


def test_one_camera_is_not_enough() -> None:
    only = replace(DATA, sequences=DATA.sequences[:1])
    with pytest.raises(DataError, match=r"two or more cameras, found \[1\]"):
        InstantSampler(only, FRAMES)


def filled(contrast: PoseCLR, seed: int = 1) -> PoseCLR:
    """Fill the queue with codes of other instants."""
    windows, instants = sampler().draw(len(contrast.queue), generator(seed))
    with torch.no_grad():
        contrast.queue.copy_(code(contrast.encoder, windows[:, 0]))
    contrast.instants.copy_(instants)
    return contrast


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> float:
    """The definition: minus the logarithm of the positive's share."""
    positive = np.exp(float(query @ key) / temperature)
    return float(-np.log(positive / (positive + np.exp((negatives @ query).numpy() / temperature).sum())))


def test_loss_is_the_mean_info_nce_of_the_positives_against_other_instants() -> None:
    contrast = filled(model())
    windows, instants = sampler().draw(4, generator(2))
    contrast.instants[:5] = instants[0]  # keys of the first query's own instant
    with torch.no_grad():
        loss, _, keys = contrast(windows, instants)
        queries = code(contrast.encoder, windows[:, 0])
    expected = [
        info_nce(query, key, contrast.queue[contrast.instants != instant], contrast.contrast.temperature)
        for query, views, instant in zip(queries, keys, instants, strict=True)
        for key in views
    ]
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_average_follows_and_the_oldest_keys_leave() -> None:
    contrast = filled(model())
    before, old_queue = [p.clone() for p in contrast.average.parameters()], contrast.queue.clone()
    with torch.no_grad():
        for parameter in contrast.encoder.parameters():
            parameter.add_(1.0)
    keys = torch.ones(2, 3, contrast.queue.shape[1])
    contrast.follow(keys, torch.tensor([7, 8]))
    for parameter, old in zip(contrast.average.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, old + 0.001, atol=1e-5, rtol=0)
    assert contrast.instants[:6].tolist() == [7, 7, 7, 8, 8, 8]
    torch.testing.assert_close(contrast.queue[6:], old_queue[:-6])


def test_gradients_reach_the_query_encoder_alone() -> None:
    contrast = model().train()
    loss, _, _ = contrast(*sampler().draw(4, generator()))
    loss.backward()
    assert all(p.grad is not None for p in contrast.encoder.parameters())
    assert all(p.grad is None for p in contrast.average.parameters())


def test_pretraining_brings_the_views_of_an_instant_together(tmp_path: Path) -> None:
    log = pretrain(DATA, replace(WHAT, steps=150, batch=16, contrast=Contrast(queue=256, momentum=0.9)), tmp_path, silent)
    assert log[-1]["loss"] < log[0]["loss"] - 0.1
    assert [row["step"] for row in log] == [50, 100, 150]
    with (tmp_path / "log.csv").open() as stream:
        assert [float(row["loss"]) for row in csv.DictReader(stream)] == [row["loss"] for row in log]


def test_interrupted_pretraining_ends_with_the_same_weights(tmp_path: Path) -> None:
    pretrain(DATA, WHAT, tmp_path / "whole", silent)
    pretrain(DATA, replace(WHAT, steps=2), tmp_path / "parts", silent)
    pretrain(DATA, WHAT, tmp_path / "parts", silent)
    whole, parts = (load_checkpoint(tmp_path / name / "encoder.pth").state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_folder_of_another_pretraining_is_refused(tmp_path: Path) -> None:
    pretrain(DATA, replace(WHAT, steps=1), tmp_path, silent)
    with pytest.raises(PoseedgeError, match=r"another pre-training, with another batch"):
        pretrain(DATA, replace(WHAT, batch=4), tmp_path, silent)


@pytest.mark.parametrize("name", ["encoder.pth", "log.csv"])
def test_file_that_is_not_of_this_pretraining_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(PoseedgeError, match=f"{name}: exists"):
        pretrain(DATA, replace(WHAT, steps=1), tmp_path, silent)
    assert (tmp_path / name).read_bytes() == b"mine"


def test_checkpoint_called_state_is_not_overwritten(tmp_path: Path) -> None:
    torch.save({"identity": 3}, tmp_path / "state.pth")
    with pytest.raises(PoseedgeError, match="is no pre-training's state"):
        pretrain(DATA, replace(WHAT, steps=1), tmp_path, silent)
    assert torch.load(tmp_path / "state.pth", weights_only=True) == {"identity": 3}


def test_result_is_a_plain_network_with_the_encoders_weights_up_to_the_last_projections() -> None:
    encoder = pretraining_network(FRAMES, 8, **SMALL)
    network = without_head(encoder)
    assert isinstance(network, NanoHTNet)
    carried = network.state_dict()
    for key, value in encoder.state_dict().items():
        if not key.startswith("fc."):
            assert torch.equal(carried[key], value) != key.startswith(("fcn_tem.", "fcn_spa.")), key
    assert network(torch.zeros(1, FRAMES, 17, 2)).shape == (1, 9, 17, 3)
