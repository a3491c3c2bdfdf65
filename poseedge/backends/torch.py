"""PyTorch as a lifter: the reference that everything else is compared with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from poseedge.arrays import Float32Array
from poseedge.errors import CheckpointError
from poseedge.lifter import LifterSpec, check_keypoints
from poseedge.models import load_checkpoint
from poseedge.models.flip import FlipAveraged, Lifting, paired
from poseedge.models.network import LiftingNetwork


class TorchLifter:
    """A network in evaluation mode, in float32, wherever its weights are. Calls from several threads take turns."""

    backend = "torch"
    provider = "cpu"

    def __init__(self, network: LiftingNetwork, path: Path, threads: int = 1, flip: bool = False) -> None:
        """With ``flip``, a network whose flip test is not simply two passes does it itself."""
        flip = flip and network.shares_selection
        self.network, self.path, self.threads = network.eval(), path, threads
        self._lock = threading.Lock()
        self.device = next(network.parameters()).device
        self.lift: nn.Module = FlipAveraged(Lifting(paired(network))) if flip else Lifting(network)
        self.spec = LifterSpec(
            model=network.name,
            frames=network.frames,
            output_frames=network.output_frames,
            precision="fp32",
            batch=None,
            channels=network.in_channels,
            flip="inside" if flip else "shared" if network.shares_selection else "passes",
        )

    @classmethod
    def from_checkpoint(cls, path: Path, threads: int = 1, name: str | None = None, flip: bool = False) -> TorchLifter:
        """Read ``path``, as network ``name`` if given; raises ``CheckpointError`` if it holds no such lifting network."""
        network = load_checkpoint(path, name)
        if not isinstance(network, LiftingNetwork):
            raise CheckpointError(f"{path}: holds {network.name}, which refines poses and lifts none", "give a lifting network")
        return cls(network, path, threads, flip)

    @torch.inference_mode()
    def __call__(self, keypoints: Float32Array) -> Float32Array:
        windows = torch.from_numpy(check_keypoints(keypoints, self.spec)).to(self.device)
        with self._lock, torch_threads(self.threads):
            return self.lift(windows).cpu().numpy()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch use ``count`` threads for a while; the setting belongs to the caller, who finds it as it was."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
