"""Write a bundle as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from poseedge.bundle.manifest import FORMAT, MANIFEST, Description
from poseedge.bundle.reading import read_manifest
from poseedge.errors import ArtefactError
from poseedge.files import Owned, atomic_folder, sha256_of

KEPT = ("engines", "__pycache__")  # what building here and importing run.py leave in a bundle
BUILT = (".engine", ".plan", ".timing", ".calibration")  # engines and what the next build can use


def write_bundle(folder: Path, fill: Callable[[Path], Description]) -> Description:
    """Let ``fill`` write files into a temporary folder, which then takes the place of ``folder``; return what it says of them.

    Nothing is left behind if it fails. A bundle that is there is replaced if it holds nothing but what its manifest lists and the
    engines built from it, which are kept; anything else is refused with ``PoseedgeError``, before ``fill`` and again after it.
    """
    with atomic_folder(folder, owned) as temporary:
        description = fill(temporary)
        files = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        content = {"format": FORMAT, **description.model_dump(mode="json"), "files": files}
        (temporary / MANIFEST).write_text(json.dumps(content, indent=2) + "\n")
    return description


def owned(folder: Path) -> Owned:
    """Return what of ``folder`` is the bundle in it; raises ``ArtefactError`` if there is none."""
    try:
        manifest = read_manifest(folder)
    except ArtefactError as error:
        raise ArtefactError(
            f"{folder}: exists and is no bundle, so it will not be replaced ({error.message})", "choose another --output"
        ) from error
    listed = {*manifest.files, MANIFEST}
    built = {path for path in folder.iterdir() if path.suffix in BUILT}
    facts = {f"{path.name}.json" for path in built} | {path.with_suffix(".json").name for path in built}  # poseedge's, run.py's
    return Owned(frozenset(listed), frozenset({*KEPT, *(path.name for path in built), *facts} - listed))
