"""Looks into the beginning of a file, never at its suffix."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats.collect import folder_files
from poseedge.live.formats.json_text import JsonText, json_text


def recognised(path: Path) -> str | None:
    """Return the name of the format that a file or folder is in, None for none; raises ``DataError`` if it is empty."""
    if path.is_dir():
        return _folder(path)
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start:
        raise DataError(f"{path}: the file is empty", "run the detector again")
    if start.startswith(b"\x93NUMPY"):
        return "plain"
    if zipfile.is_zipfile(path):
        return _npz(path)
    with json_text(path) as text:
        return _json(text) if text.peek() in ("[", "{") else None


def _folder(path: Path) -> str | None:
    """A folder of JSON is what its first file with people in it is."""
    files = sorted(folder_files(path, ".json"))
    for file in files:
        with json_text(file) as text:
            name = _json(text) if text.peek() in ("[", "{") else None
        if name is not None:
            return name
    return None


def _npz(path: Path) -> str | None:
    return "plain"


def _json(text: JsonText) -> str | None:
    if text.peek() == "[":
        for entry in text.values():
            if entry:
                return _entry(entry)
        return None
    keys: dict[str, Any] = {}
    for key in text.members():
        keys[key] = text.value()
        if isinstance(keys[key], dict) and keys[key].keys() & {"bodies", "people"}:
            return "alphapose"
    return "openpose" if "people" in keys else None


def _entry(entry: Any) -> str | None:
    """What the first element of a list says."""
    if isinstance(entry, dict) and "image_id" in entry:
        return "alphapose"
    return None
