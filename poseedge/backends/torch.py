"""PyTorch as a lifter: the reference that everything else is compared with."""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from poseedge.arrays import Float32Array
from poseedge.backends.backend import Backend, Opening
from poseedge.errors import CheckpointError, PoseedgeError, require
from poseedge.lifter import Cost, LifterSpec, check_keypoints, check_poses

if TYPE_CHECKING:
    from torch import nn

    from poseedge.models.network import LiftingNetwork

EXTRA = "export"


class TorchLifter:
    """A network in evaluation mode, in float32, wherever its weights are. Calls from several threads take turns."""

    backend = "torch"
    notes: tuple[str, ...]

    def __init__(self, network: LiftingNetwork, path: Path, threads: int = 1, flip: bool = False) -> None:
        """With ``flip``, a network whose flip test is not simply two passes does it itself."""
        from poseedge.models.flip import FlipAveraged, Lifting, paired

        flip = flip and network.shares_selection
        self.network, self.path, self.threads = network.eval(), path, threads
        self.notes = network.identity.notes if network.identity else ()
        self._lock = threading.Lock()
        self.device = next(network.parameters()).device
        self.provider = self.device.type
        self.lift: nn.Module = FlipAveraged(Lifting(paired(network))) if flip else Lifting(network)
        self.spec = LifterSpec(
            model=network.name,
            frames=network.frames,
            output_frames=network.output_frames,
            precision="fp32",
            batch=None,
            channels=network.in_channels,
            flip="inside" if flip else "shared" if network.shares_selection else "passes",
            fps=network.fps,
        )

    @classmethod
    def from_checkpoint(cls, path: Path, opening: Opening) -> TorchLifter:
        """Read ``path`` as ``opening`` wants it; raises ``CheckpointError`` if it holds no such lifting network."""
        require("torch", EXTRA)
        from poseedge.models import load_checkpoint
        from poseedge.models.network import LiftingNetwork

        network = load_checkpoint(path, opening.model, opening.settings)
        if not isinstance(network, LiftingNetwork):
            raise CheckpointError(f"{path}: holds {network.name}, which refines poses and lifts none", "give a lifting network")
        return cls(network, path, opening.threads, opening.flip)

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        import torch

        windows = torch.from_numpy(check_keypoints(keypoints, self.spec)).to(self.device)
        with self._lock, torch.inference_mode(), torch_threads(self.threads):
            poses = self.lift(windows).cpu().numpy()
        return check_poses(poses, self.spec, self.path)

    def cost(self) -> Cost:
        """Return what the network costs; its size is the checkpoint's."""
        from poseedge.models.flops import network_cost

        return network_cost(self.network, self.path)


class CompiledLifter(TorchLifter):
    """The same through ``torch.compile``: its first call for a number of windows takes as long as a compiler does."""

    backend = "torch-compile"

    def __init__(self, network: LiftingNetwork, path: Path, threads: int = 1, flip: bool = False) -> None:
        """As ``TorchLifter``."""
        super().__init__(network, path, threads, flip)
        self.lift.compile()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch use ``count`` threads for a while; the setting belongs to the caller, who finds it as it was."""
    import torch

    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def open_checkpoint(path: Path, opening: Opening) -> TorchLifter:
    """Return the network that the checkpoint ``path`` holds."""
    return TorchLifter.from_checkpoint(path, opening)


def open_compiled(path: Path, opening: Opening) -> TorchLifter:
    """Return the network that the checkpoint ``path`` holds, to be compiled when it is first called."""
    return CompiledLifter.from_checkpoint(path, opening)


def looks_like_checkpoint(path: Path) -> bool:
    """Say whether a file holds a pickle, PyTorch's archive, or safetensors."""
    with path.open("rb") as stream:
        head = stream.read(9)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def works() -> str:
    """Multiply two matrices in PyTorch; returns its version."""
    require("torch", EXTRA)
    import torch

    torch.ones(2, 2) @ torch.ones(2, 2)
    return torch.__version__


def compiles() -> str:
    """Say whether PyTorch's compiler finds the C++ compiler that it needs on a processor; returns PyTorch's version."""
    version = works()
    if shutil.which(os.environ.get("CXX", "g++")) is None and shutil.which("clang++") is None:
        raise PoseedgeError("PyTorch's compiler needs a C++ compiler", "sudo apt install g++")
    return version


FIX = f"pip install 'poseedge[{EXTRA}]'"
SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".pkl", ".t7", ".safetensors")
BACKENDS = (
    Backend("torch", SUFFIXES, open_checkpoint, works, FIX, takes_model=True, recognises=looks_like_checkpoint),
    Backend("torch-compile", SUFFIXES, open_compiled, compiles, FIX, False, takes_model=True, recognises=looks_like_checkpoint),
)
