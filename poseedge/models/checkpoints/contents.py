"""What a checkpoint file holds, told by its bytes whatever it is called: PyTorch's formats and safetensors."""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from poseedge.errors import CheckpointError
from poseedge.models.checkpoints.safetensors import is_safetensors, read_safetensors

AGAIN = "it may be truncated; get it again"
UNPACK = "unpack it, and give the checkpoint that is inside"
HEAD = 512  # bytes that tell what a file is
# Files that are often taken for a checkpoint, by how they begin, with what to do.
FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (rb"version https://git-lfs\.github\.com/", "a pointer of Git LFS, not the file that it points to", "git lfs pull"),
    (rb"\s*(<!doctype html|<html|<head)", "a web page, not a checkpoint", "the download asked for something; use a browser"),
    (rb"\x1f\x8b", "a gzip archive", UNPACK),
    (rb".{257}ustar", "a tar archive", UNPACK),
)


class _Unread:
    """Stands for what training saved beside the weights; nothing of it is built."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


# Under the names that they are pickled by: NumPy's random states and scalars of all versions, which MixSTE's, MotionBERT's and
# VideoPose3D's files hold, and the options of a command line.
_UNREAD: list[Any] = [
    (_Unread, "argparse.Namespace"),
    *(
        (_Unread, f"numpy{name}")
        for name in (
            *(".ndarray", ".dtype", ".random.__RandomState_ctor", ".random._mt19937.MT19937"),
            *(f".random._pickle.__{kind}_ctor" for kind in ("randomstate", "bit_generator")),
            *(f".{core}.multiarray.{kind}" for core in ("core", "_core") for kind in ("_reconstruct", "scalar")),
        )
    ),
]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint file, never running code from it.

    Raises ``CheckpointError`` that says what the file is instead, or what is damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint", "give the path of a .pth file")
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    refuse_foreign(path, head)
    if is_safetensors(head, path.stat().st_size):
        return read_safetensors(path)
    check_records(path)
    content = unpickled(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a state dict, found {type(content).__name__}")
    return content


def refuse_foreign(path: Path, head: bytes) -> None:
    """Raise ``CheckpointError`` for a file that begins as something else does."""
    if not head:
        raise CheckpointError(f"{path}: an empty file", "the download or copy failed; get it again")
    for pattern, what, hint in FOREIGN:
        if re.match(pattern, head, re.IGNORECASE | re.DOTALL):
            raise CheckpointError(f"{path}: {what}", hint)


def check_records(path: Path) -> None:
    """Compare every record of a zipped checkpoint with the checksum written beside it, which PyTorch's own reader does not.

    Raises ``CheckpointError`` that names the first damaged record, or says which other kind of archive it is. Files of
    PyTorch's older format, and those written with ``torch.serialization.set_crc32_options(False)``, have no checksums.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_other_archives(path, archive.infolist())
            summed = any(record.CRC for record in archive.infolist())
            damaged = archive.testzip() if summed else None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error})", AGAIN) from error
    if damaged is not None:
        raise CheckpointError(f"{path}: damaged, {damaged} does not match its checksum", "get the file again")


def refuse_other_archives(path: Path, records: list[zipfile.ZipInfo]) -> None:
    """Raise ``CheckpointError`` unless the records are those of ``torch.save``, stored as they are."""
    inside = {record.filename.partition("/")[2].partition("/")[0] for record in records}
    if "constants.pkl" in inside or "code" in inside:
        raise CheckpointError(f"{path}: a TorchScript program", "save the weights alone: torch.save(model.state_dict(), path)")
    if "data.pkl" not in inside:
        raise CheckpointError(f"{path}: a zip archive, but not PyTorch's", UNPACK)
    if (unpacked := sum(record.file_size for record in records)) > path.stat().st_size:
        raise CheckpointError(
            f"{path}: {path.stat().st_size} bytes that unpack to {unpacked}, which PyTorch never writes",
            "save it again with torch.save, from where it came",
        )


def unpickled(path: Path) -> Any:
    """Return what PyTorch makes of the file, with nothing but tensors, plain values and ``_Unread``."""
    try:
        with torch.serialization.safe_globals(_UNREAD):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))  # the rest of PyTorch's message tells how to run it all the same
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors and plain values" + (f": {named[1]}" if named else ""),
            "save the state dict alone: torch.save(model.state_dict(), path)",
        ) from error
    except Exception as error:  # a damaged archive or pickle may raise anything
        told = isinstance(error, (EOFError, OSError, RuntimeError))  # else it is about a pickle's insides, such as KeyError(101)
        reason = str(error).split("\n")[0].split(". ")[0] if told else "neither a zip archive of PyTorch's nor a pickle"
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason})", AGAIN) from error
