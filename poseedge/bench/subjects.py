"""From the artefacts that a person names to the single things that are timed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poseedge.bundle import Bundle, open_bundle
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.files import sha256_of
from poseedge.resources import resource


@dataclass(frozen=True)
class Subject:
    """One file that ``poseedge.load`` opens, and what its bundle's manifest knows of it."""

    path: Path
    params: int | None = None  # of the network that it came from
    mpjpe_mm: float | None = None
    delta_mpjpe_mm: float | None = None  # against the checkpoint


def subjects_of(artefact: Path) -> tuple[list[Subject], list[str]]:
    """Return what to time for ``artefact``, and remarks on what is left out.

    A bundle gives the checkpoint that it was made from, in PyTorch, as the reference, then all its precisions.
    """
    if not artefact.is_dir():
        return [Subject(artefact)], []
    bundle = open_bundle(artefact)
    graphs = [graph_subject(bundle, precision) for precision in bundle.precisions]
    try:
        return [reference_subject(bundle), *graphs], []
    except PoseedgeError as error:
        return graphs, [f"no speed-up against PyTorch: {error.message}" + (f" ({error.hint})" if error.hint else "")]


def graph_subject(bundle: Bundle, precision: str) -> Subject:
    """Return the bundle's graph of ``precision``."""
    parity = bundle.manifest.get("parity", {}).get(precision, {})
    params = source(bundle).get("parameters")
    return Subject(bundle.graph(precision), params, parity.get("mpjpe_mm"), parity.get("delta_mpjpe_mm"))


def reference_subject(bundle: Bundle) -> Subject:
    """Return the checkpoint that the bundle was made from; raises if PyTorch or the very same file is not here."""
    if find_spec("torch") is None:
        raise PoseedgeError("PyTorch is not installed", "pip install 'poseedge[export]'")
    name, wanted = source(bundle).get("checkpoint"), source(bundle).get("sha256")
    if not name or not wanted:
        raise ArtefactError(f"{bundle.folder}: the manifest names no checkpoint")
    places = (Path(name), bundle.folder / name, resource(name))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ArtefactError(f"the checkpoint {name} is not on this machine")
    if sha256_of(path) != wanted:
        raise ArtefactError(f"{path} is not the checkpoint that the bundle was made from")
    parity = bundle.manifest.get("parity", {}).get("fp32", {})
    known = "mpjpe_mm" in parity and "delta_mpjpe_mm" in parity
    mpjpe_mm = parity["mpjpe_mm"] - parity["delta_mpjpe_mm"] if known else None
    return Subject(path, source(bundle).get("parameters"), mpjpe_mm, 0.0 if known else None)


def source(bundle: Bundle) -> dict[str, Any]:
    """Return what the manifest says of the checkpoint: ``checkpoint`` (path), ``sha256``, ``parameters``."""
    return bundle.manifest.get("source", {})
