"""Open a bundle: ONNX files by precision, sample windows, and a manifest that vouches for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poseedge.bundle.manifest import FORMAT, MANIFEST, Manifest
from poseedge.contract import parsed
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.files import read_json, sha256_of
from poseedge.graph.header import read_header
from poseedge.graph.metadata import GraphMetadata
from poseedge.lifter import PRECISIONS, Precision
from poseedge.resources import resource

AGAIN = "export the bundle again"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been checked against its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def precisions(self) -> list[Precision]:
        """The precisions that it holds, in the order of ``PRECISIONS``."""
        return [precision for precision in PRECISIONS if precision in self.manifest.graphs]

    def precision(self, name: str) -> Precision:
        """Return ``name`` as the precision that it is; raises ``ArtefactError`` if there is no such graph."""
        for held in self.precisions:
            if held == name:
                return held
        raise ArtefactError(f"{self.folder}: holds no {name} graph", f"it holds: {', '.join(self.precisions)}")

    def graph(self, precision: str) -> Path:
        """Return the ONNX file of ``precision``."""
        return self.folder / self.manifest.graphs[self.precision(precision)].file

    def streaming_graph(self, precision: str) -> Path | None:
        """Return the ONNX file of the streaming form in ``precision``, None if the bundle holds none."""
        entry = (self.manifest.streams or {}).get(self.precision(precision))
        return None if entry is None else self.folder / entry.file

    def checkpoint(self) -> Path:
        """Return the checkpoint that it was exported from, after checking that it is still the same file."""
        entry = self.manifest.checkpoint
        path = resource("weights", entry.file) if entry.bundled else Path(entry.file)
        if not path.is_file():
            raise ArtefactError(f"{path}: the bundle's checkpoint is not on this machine", "name another artefact instead")
        if sha256_of(path) != entry.sha256:
            raise ArtefactError(f"{path}: has changed since the bundle was exported", AGAIN)
        return path


def open_bundle(folder: Path) -> Bundle:
    """Read a bundle and check what its manifest says of its files; raises ``ArtefactError`` for the first thing that is wrong.

    Every file that the manifest names has its hash there, lies in ``folder`` itself and not behind a link that leads out of it,
    and has that hash. A graph's own word on its precision is that of the manifest.
    """
    manifest = read_manifest(folder)
    for name, wanted in manifest.files.items():
        check_file(folder / name, wanted)
    for entries in (manifest.graphs, manifest.streams or {}):
        for precision, entry in entries.items():
            check_label(folder / entry.file, precision)
    return Bundle(folder, manifest)


def refuse_to_change(path: Path) -> None:
    """Raise ``PoseedgeError`` if ``path`` lies in a bundle, which must hold what its manifest lists, and nothing else."""
    if (path.parent / MANIFEST).is_file():
        try:
            read_manifest(path.parent)
        except ArtefactError:
            return
        raise PoseedgeError(f"{path}: lies in a bundle, which stays as it was exported", "write elsewhere: --output mine.onnx")


def read_manifest(folder: Path) -> Manifest:
    """Return what the manifest in ``folder`` says; raises ``ArtefactError`` that names the first wrong field."""
    path = folder / MANIFEST
    if not path.is_file():
        trained = folder / "best.pth"  # a folder of poseedge train
        hint = f"name its checkpoint: {trained}" if trained.is_file() else "make one with: poseedge export --model nanohtnet"
        raise ArtefactError(f"{folder}: not a bundle, it has no {MANIFEST}", hint)
    content = read_json(path, "not a bundle manifest", ArtefactError, AGAIN)
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found != FORMAT:
        raise ArtefactError(f"{path}: bundle format {found}, this poseedge reads {FORMAT}", AGAIN)
    return parsed(Manifest, content, f"{path}: not a bundle manifest", AGAIN, ArtefactError)


def check_file(path: Path, wanted: str) -> None:
    """Raise ``ArtefactError`` if a file of the bundle is missing, lies elsewhere or has another hash than ``wanted``."""
    if not path.is_file():
        raise ArtefactError(f"{path}: missing from the bundle", "copy or export the bundle again")
    if path.resolve().parent != path.parent.resolve():
        raise ArtefactError(f"{path}: leads out of the bundle, to {path.resolve()}", "put the file itself there")
    if (actual := sha256_of(path)) != wanted:
        raise ArtefactError(
            f"{path}: SHA-256 is {actual[:12]}..., the manifest says {wanted[:12]}...",
            "the file was changed or damaged; export the bundle again",
        )


def check_label(path: Path, precision: Precision) -> None:
    """Raise ``ArtefactError`` if a graph is not of the ``precision`` that the manifest calls it.

    A graph without metadata of ours only shows whether it is quantized.
    """
    header = read_header(path)
    metadata = GraphMetadata.from_props(header.metadata, path)
    told = metadata.precision if metadata else "int8" if header.quantized else "float"
    fits = told == precision if metadata else header.quantized == precision.startswith("int8")
    if not fits:
        raise ArtefactError(f"{path}: is a graph in {told}, and the manifest calls it {precision}", AGAIN)
