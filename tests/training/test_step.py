"""A step captured as a CUDA graph gives the weights that the eager step gives, bit for bit. Most of this needs a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from poseedge.training import step as steps
from poseedge.training.step import WARM_UP, CapturedStep, EagerStep
from tests.support.training import FewWindows, recipe, same, trained, training, weights

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_captured_training_equals_the_eager_one(precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = recipe("epochs=6", f"precision={precision}")
    captured = training(tmp_path / "captured", used, accelerator="cuda")
    found = weights(captured.run())
    assert isinstance(captured.make, CapturedStep)
    assert captured.make.refused == ""
    assert captured.make.calls == 12 > WARM_UP
    monkeypatch.setattr(steps, "CapturedStep", EagerStep)
    assert same(found, trained(tmp_path / "eager", used, accelerator="cuda"))


@needs_gpu
def test_training_that_goes_on_captures_again_and_ends_alike(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", recipe("epochs=8"), accelerator="cuda")
    trained(tmp_path / "parts", recipe("epochs=4"), accelerator="cuda")
    assert same(trained(tmp_path / "parts", recipe("epochs=8"), accelerator="cuda"), whole)


@needs_gpu
def test_smaller_last_batch_is_stepped_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = FewWindows.draw
    monkeypatch.setattr(FewWindows, "draw", lambda source, step, size, share: draw(source, step, size - step % 2, share))
    found = trained(tmp_path / "captured", recipe("epochs=6"), accelerator="cuda")
    monkeypatch.setattr(steps, "CapturedStep", EagerStep)
    assert same(found, trained(tmp_path / "eager", recipe("epochs=6"), accelerator="cuda"))


def test_processor_steps_eagerly(tmp_path: Path) -> None:
    assert type(training(tmp_path, recipe()).make) is EagerStep
