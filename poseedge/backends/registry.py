"""``load``: which backend runs a file."""

from __future__ import annotations

from pathlib import Path

from poseedge.errors import ArtefactError, PoseedgeError, nearest, require
from poseedge.lifter import ENGINE_SUFFIXES, Lifter

ONNX_BACKENDS = ("onnxruntime", "tensorrt-rtx")


def load(
    path: str | Path,
    precision: str | None = None,
    threads: int = 1,
    model: str | None = None,
    flip: bool = False,
    backend: str = ONNX_BACKENDS[0],
) -> Lifter:
    """Return the lifter that ``path`` is: a checkpoint (``.pth``), an ONNX file, a TensorRT engine, or a bundle folder.

    ``precision`` chooses within a bundle (default fp32), ``model`` between networks that a checkpoint fits alike.
    ``flip`` lets a checkpoint's network do the flip test itself where that is not simply two passes. ``backend`` runs
    ONNX files: ``onnxruntime`` on the CPU, or ``tensorrt-rtx``. Raises ``ArtefactError`` for what cannot be recognised.
    """
    path = Path(path)
    if path.is_dir():
        from poseedge.bundle.reading import open_bundle

        return load(open_bundle(path).graph(precision or "fp32"), threads=threads, backend=backend)
    if not path.exists():
        raise ArtefactError(f"{path}: no such file or bundle", "make one with: poseedge export --model nanohtnet")
    if path.suffix == ".onnx" and backend not in ONNX_BACKENDS:
        raise PoseedgeError(f"no backend {backend!r} for ONNX files", nearest(backend, list(ONNX_BACKENDS)))
    if path.suffix == ".onnx" and backend == "tensorrt-rtx":
        from poseedge.backends.tensorrt_rtx import TensorRTRTXLifter

        return TensorRTRTXLifter(path, threads)
    if path.suffix == ".onnx":
        from poseedge.backends.onnxruntime import OnnxLifter

        return OnnxLifter(path, threads=threads)
    if path.suffix in ENGINE_SUFFIXES:
        require("tensorrt", "tensorrt")
        from poseedge.backends.tensorrt import TensorRTLifter

        return TensorRTLifter(path)
    if path.suffix in {".pth", ".pt", ".bin"}:
        require("torch", "export")
        from poseedge.backends.torch import TorchLifter

        return TorchLifter.from_checkpoint(path, threads, model, flip)
    raise ArtefactError(f"{path}: not a bundle folder, .onnx file, .engine or .pth checkpoint")
