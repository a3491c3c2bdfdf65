"""An ONNX network that takes a picture: opened on a backend, asked for its sizes, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.backends.registry import backend_for, backends, names_for
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.live.detectors.person import Picture

Outputs = list[npt.NDArray[Any]]
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8}
FREE_SIZE = 640  # for networks that take pictures of any size, which are the ones that see all people at once


class PictureNetwork:
    """A network from one picture to tensors."""

    def __init__(self, path: Path, threads: int = 1, backend: str | None = None) -> None:
        """Open ``path``; raises ``ArtefactError`` where it does not take one RGB picture."""
        self.path = path
        if not path.is_file():
            raise ArtefactError(f"{path}: no such detector", "give an ONNX file, or leave --detector out for the bundled one")
        self._session = open_on(path, threads, backend)
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        pictures = len(inputs) == 1 and len(shape) == 4 and inputs[0].type in _TYPES and 3 in (shape[1], shape[3])
        if not pictures or (isinstance(shape[0], int) and shape[0] != 1):
            found = ", ".join(f"{end.type} {end.shape}" for end in inputs)
            raise ArtefactError(
                f"{path}: expected one input with one RGB picture, (1, 3, H, W) or (1, H, W, 3), found {found}",
                "export the detector with batch 1",
            )
        self._name, self._dtype = inputs[0].name, _TYPES[inputs[0].type]
        self.channels_first = shape[1] == 3
        height, width = (shape[2], shape[3]) if self.channels_first else (shape[1], shape[2])
        self.size = (_fixed(width), _fixed(height))

    def __call__(self, picture: npt.NDArray[Any]) -> Outputs:
        """Run on ``picture (H, W, 3)`` of the network's size, scaled as the network wants it; returns all outputs."""
        if self.channels_first:
            picture = picture.transpose(2, 0, 1)
        return self._session.run(None, {self._name: np.ascontiguousarray(picture[None], dtype=self._dtype)})

    def trial(self) -> Outputs:
        """Return what the network says of a black picture: the shapes of its outputs tell its kind."""
        width, height = self.size
        black: Picture = np.zeros((height, width, 3), np.uint8)
        try:
            return self(black)
        except Exception as error:  # ONNX Runtime raises a dozen types of its own
            reason = str(error).split("\n")[0]
            raise ArtefactError(f"{self.path}: does not run on a {width} x {height} picture ({reason})") from error


def _fixed(size: Any) -> int:
    return size if isinstance(size, int) and size > 0 else FREE_SIZE


def open_on(path: Path, threads: int, backend: str | None) -> Any:
    """Open an ONNX Runtime session on ``backend``, by default the usual one for ONNX files."""
    opener = backend_for(path, backend).session
    if opener is None:
        able = [name for name in names_for(".onnx") if backends()[name].session]
        raise PoseedgeError(f"{path}: backend {backend!r} runs lifters alone", f"for detectors: {', '.join(able)}")
    return opener(path, threads)


def shape_text(outputs: Sequence[npt.NDArray[Any]]) -> str:
    """Return the outputs' shapes for messages."""
    return ", ".join(str(tuple(output.shape)) for output in outputs)
