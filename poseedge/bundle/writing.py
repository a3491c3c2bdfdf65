"""Write a bundle as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poseedge.bundle.manifest import FORMAT, MANIFEST
from poseedge.errors import ArtefactError
from poseedge.files import atomic_folder, sha256_of


@contextmanager
def write_bundle(folder: Path, manifest: dict[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder to fill; at the end it is hashed, gets ``manifest`` and takes the place of ``folder``.

    ``manifest`` may be completed while the block runs. Nothing is left behind if the block fails.
    """
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]) and not (folder / MANIFEST).is_file():
        raise ArtefactError(f"{folder}: exists and is no bundle, so it will not be replaced", "choose another --output")
    with atomic_folder(folder) as temporary:
        yield temporary
        names = sorted(path.name for path in temporary.iterdir())
        content = {"format": FORMAT, **manifest, "files": {name: sha256_of(temporary / name) for name in names}}
        (temporary / MANIFEST).write_text(json.dumps(content, indent=2) + "\n")
