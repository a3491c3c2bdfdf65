"""Write a bundle as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poseedge.bundle.manifest import FORMAT, MANIFEST
from poseedge.bundle.reading import read_manifest
from poseedge.errors import ArtefactError
from poseedge.files import Owned, atomic_folder, sha256_of

KEPT = ("engines", "__pycache__")  # what building here and importing run.py leave in a bundle
BUILT = (".engine", ".plan", ".timing", ".calibration")  # engines and what the next build can use


@contextmanager
def write_bundle(folder: Path, manifest: dict[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder to fill; at the end it is hashed, gets ``manifest`` and takes the place of ``folder``.

    ``manifest`` may be completed while the block runs. Nothing is left behind if the block fails. A bundle that is there is
    replaced if it holds nothing but what its manifest lists and the engines built from it, which are kept; anything else is
    refused with ``PoseedgeError``.
    """
    with atomic_folder(folder, owned) as temporary:
        yield temporary
        names = sorted(path.name for path in temporary.iterdir())
        content = {"format": FORMAT, **manifest, "files": {name: sha256_of(temporary / name) for name in names}}
        (temporary / MANIFEST).write_text(json.dumps(content, indent=2) + "\n")


def owned(folder: Path) -> Owned:
    """Return what of ``folder`` is the bundle in it; raises ``ArtefactError`` if there is none."""
    try:
        manifest = read_manifest(folder)
    except ArtefactError as error:
        raise ArtefactError(
            f"{folder}: exists and is no bundle, so it will not be replaced ({error.message})", "choose another --output"
        ) from error
    listed = {*manifest["files"], MANIFEST}
    built = {path for path in folder.iterdir() if path.suffix in BUILT}
    facts = {f"{path.name}.json" for path in built} | {path.with_suffix(".json").name for path in built}  # poseedge's, run.py's
    return Owned(frozenset(listed), frozenset({*KEPT, *(path.name for path in built), *facts} - listed))
