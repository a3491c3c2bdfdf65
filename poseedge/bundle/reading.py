"""Open a bundle: ONNX files by precision, sample windows, and a manifest that vouches for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseedge.bundle.manifest import FORMAT, MANIFEST
from poseedge.errors import ArtefactError
from poseedge.files import sha256_of
from poseedge.lifter import PRECISIONS
from poseedge.resources import resource

READ_KEYS = ("checkpoint", "graphs", "limits", "parameters", "parity", "reference")  # of the manifest, beside files and format


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been checked against its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def precisions(self) -> list[str]:
        """The precisions that it holds, in the order of ``PRECISIONS``."""
        return [p for p in PRECISIONS if p in self.manifest["graphs"]]

    def graph(self, precision: str) -> Path:
        """Return the ONNX file of ``precision``."""
        if precision not in self.manifest["graphs"]:
            raise ArtefactError(f"{self.folder}: holds no {precision} graph", f"it holds: {', '.join(self.precisions)}")
        return self.folder / str(self.manifest["graphs"][precision]["file"])

    def checkpoint(self) -> Path:
        """Return the checkpoint that it was exported from, after checking that it is still the same file."""
        entry = self.manifest["checkpoint"]
        path = resource("weights", entry["file"]) if entry["bundled"] else Path(entry["file"])
        if not path.is_file():
            raise ArtefactError(f"{path}: the bundle's checkpoint is not on this machine", "name another artefact instead")
        if sha256_of(path) != entry["sha256"]:
            raise ArtefactError(f"{path}: has changed since the bundle was exported", "export the bundle again")
        return path


def open_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every file's hash; raises ``ArtefactError`` for the first thing that is wrong."""
    manifest = read_manifest(folder)
    for name, wanted in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise ArtefactError(f"{file}: missing from the bundle", "copy or export the bundle again")
        if (actual := sha256_of(file)) != wanted:
            raise ArtefactError(
                f"{file}: SHA-256 is {actual[:12]}..., the manifest says {wanted[:12]}...",
                "the file was changed or damaged; export the bundle again",
            )
    return Bundle(folder, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what the manifest in ``folder`` says; raises ``ArtefactError`` if there is none, or another format."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtefactError(f"{folder}: not a bundle, it has no {MANIFEST}", "make one with: poseedge export --model nanohtnet")
    try:
        manifest = json.loads(path.read_text())
        manifest["files"] = dict(manifest["files"])
        found = int(manifest["format"])
        if found == FORMAT and (missing := [key for key in READ_KEYS if key not in manifest]):
            raise KeyError(*missing)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: not a bundle manifest ({error!r})", "export the bundle again") from error
    if found != FORMAT:
        raise ArtefactError(f"{path}: bundle format {found}, this poseedge reads {FORMAT}", "export the bundle again")
    return dict(manifest)
