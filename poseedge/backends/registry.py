"""Which backends there are, and ``load``: the one that opens a file.

A backend is a module beside this one with a tuple ``BACKENDS``; nothing lists them. See docs/add_a_backend.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from poseedge import backends as package
from poseedge.backends.backend import Backend, Opening, Probe
from poseedge.errors import ArtefactError, PoseedgeError, nearest
from poseedge.lifter import Lifter

_OURS = ("backend", "registry")  # modules that define none


def load(
    path: str | Path,
    precision: str | None = None,
    threads: int = 1,
    model: str | None = None,
    flip: bool = False,
    backend: str | None = None,
    settings: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> Lifter:
    """Return the lifter that ``path`` is: a checkpoint (``.pth``), an ONNX file, a TensorRT engine, or a bundle folder.

    ``precision`` chooses within a bundle (default: fp32, or the most exact that it holds), ``model`` between networks that a
    checkpoint fits alike, whose ``settings`` take the place of what a published file does not tell.
    ``flip`` lets a checkpoint's network do the flip test itself where that is not simply two passes. ``backend`` names
    another runtime than the usual one for such files, such as ``cuda`` for ONNX files. ``stream`` takes the streaming form of a
    bundle that holds one (``export --stream``), a ``CachedLifter``, which ``poseedge.Stream`` and ``lift`` run frame by frame.

    Raises ``ArtefactError`` for what cannot be recognised, ``PoseedgeError`` for what cannot apply to ``path``.
    """
    path = Path(path)
    if path.is_dir():
        from poseedge.bundle.reading import open_bundle

        if model is not None or settings:
            raise PoseedgeError(
                f"{path}: a bundle knows its network, so there is none to choose or set", "leave out --model and --set"
            )
        bundle = open_bundle(path)
        chosen_precision = bundle.precisions[0] if precision is None else precision
        graph = (bundle.streaming_graph(chosen_precision) if stream else None) or bundle.graph(chosen_precision)
        return load(graph, threads=threads, flip=flip, backend=backend)
    if not path.exists():
        raise ArtefactError(f"{path}: no such file or bundle", "make one with: poseedge export --model nanohtnet")
    chosen = backend_for(path, backend)
    if precision is not None:
        raise PoseedgeError(f"{path}: a single file has one precision; {precision!r} chooses within a bundle", "leave it out")
    if (model is not None or settings) and not chosen.takes_model:
        raise PoseedgeError(f"{path}: --model and --set are for checkpoints, which may fit two networks", "leave them out")
    return chosen.open(path, Opening(threads, model, settings or {}, flip))


def backend_for(path: Path, name: str | None = None) -> Backend:
    """Return the backend that opens ``path``: the usual one, or that called ``name`` if it opens such files."""
    fitting = {backend.name: backend for backend in backends().values() if opens(backend, path)}
    if not fitting:
        fitting = {backend.name: backend for backend in backends().values() if backend.recognises and backend.recognises(path)}
    if not fitting:
        known = sorted({suffix for backend in backends().values() for suffix in backend.suffixes})
        raise ArtefactError(
            f"{path}: not a bundle folder, .onnx file, .engine or .pth checkpoint", f"known files: {', '.join(known)}"
        )
    if name is None:
        return next(backend for backend in fitting.values() if backend.usual)
    if name not in fitting:
        what = f"backend {name!r} does not open" if name in backends() else f"no backend {name!r} for"
        raise PoseedgeError(f"{path}: {what} {path.suffix} files", nearest(name, list(fitting)))
    return fitting[name]


def opens(backend: Backend, path: Path) -> bool:
    """Say whether ``backend`` opens files that are called as ``path`` is."""
    return path.name.lower().endswith(backend.suffixes)


def names_for(suffix: str) -> list[str]:
    """Return the names of the backends that open files with ``suffix``, the usual one first."""
    fitting = [backend for backend in backends().values() if suffix in backend.suffixes]
    return [backend.name for backend in sorted(fitting, key=lambda backend: not backend.usual)]


@cache
def backends() -> dict[str, Backend]:
    """Return every backend by name, working or not, as found in this folder."""
    modules = sorted(entry.name for entry in pkgutil.iter_modules(package.__path__) if entry.name not in _OURS)
    found = [importlib.import_module(f"{package.__name__}.{name}").BACKENDS for name in modules]
    return {backend.name: backend for several in found for backend in several}


def probes() -> list[Probe]:
    """Try every backend on something tiny."""
    return [probe(backend) for backend in backends().values()]


def probe(backend: Backend) -> Probe:
    """Let ``backend`` run something tiny and say how that went."""
    try:
        return Probe(backend.name, True, backend.works(), opens=backend.suffixes)
    except PoseedgeError as error:
        return Probe(backend.name, False, error.message, error.hint or backend.fix, backend.suffixes)
    except Exception as error:  # a broken installation raises types of its own
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return Probe(backend.name, False, first, backend.fix, backend.suffixes)
