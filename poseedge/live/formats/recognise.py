"""Looks into the beginning of a file, never at its suffix."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.formats import csv_table
from poseedge.live.formats.collect import folder_files
from poseedge.live.formats.json_text import JsonText, json_text, parsed_json

_START = 4096  # bytes


def recognised(path: Path) -> str | None:
    """Return the name of the format that a file or folder is in, None for none; raises ``DataError`` if nobody is in it."""
    files = [path]
    if path.is_dir():
        files = sorted(folder_files(path, ".json")) or sorted(folder_files(path, ".txt"))
    nobody = False
    for file in files:  # frames without people do not say whose they are
        name = _file(file)
        if name or name is None:
            return name
        nobody = True
    if nobody:
        raise DataError(f"{path}: no people in it", "look at the detector's pictures, or lower its threshold")
    return None


def _file(path: Path) -> str | None:
    """Return a format's name, None for none, and "" where there is nobody to tell by."""
    with path.open("rb") as stream:
        beginning = stream.read(_START)
    if not beginning:
        raise DataError(f"{path}: the file is empty", "run the detector again")
    if beginning.startswith(b"\x93NUMPY"):
        return "plain"
    if zipfile.is_zipfile(path):
        return _npz(path)
    if b"\0" in beginning and not beginning.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16 is text, and is refused as such
        return None
    with json_text(path) as text:
        nobody = False
        while (start := text.peek()) in ("[", "{"):
            name = _list(text) if start == "[" else _object(text)
            if name != "":
                return name
            nobody = True
        if nobody:
            return ""
    if csv_table.is_table(path):
        return "csv"
    return "ultralytics-txt" if _numbers(path) else None


def _npz(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except Exception as error:  # a damaged zip may raise anything
        raise DataError(f"{path}: not a readable npz file ({error})", "it may be truncated; write it again") from error
    theirs = "positions_2d.npy" in names or {"boxes.npy", "keypoints.npy"} <= names
    return "videopose3d" if theirs else "plain"


def _numbers(path: Path) -> bool:
    """Say whether the first line is long and all numbers."""
    with path.open(encoding="utf-8-sig") as stream:
        words = stream.readline(1 << 16).split()
    try:
        return len([float(word) for word in words]) > 17 * 2
    except ValueError:
        return False


def _object(text: JsonText) -> str | None:
    content: dict[str, Any] = {}
    for key in text.members():
        if key == "instance_info":
            return "mmpose"
        content[key] = text.value()
        if isinstance(content[key], dict) and content[key].keys() & {"bodies", "people"}:
            return "alphapose"
    if not content:
        return ""
    people = content.get("people", content.get("bodies"))
    if not isinstance(people, list):
        return None
    lines = content.keys() & {"frame", "time"} or any(isinstance(person, dict) and "keypoints" in person for person in people)
    return "jsonlines" if lines else "openpose"


def _list(text: JsonText) -> str | None:
    """Return the format of a list by its first element that is not empty."""
    for entry in text.values():
        while isinstance(entry, list) and entry:
            entry = entry[0]
        if isinstance(entry, str):
            entry = parsed_json(entry, text.path)
            entry = entry[0] if isinstance(entry, list) and entry else entry
        if entry:
            return _entry(entry)
    return ""


def _entry(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    if "image_id" in entry:
        own = isinstance(entry["image_id"], str) or "idx" in entry or "box" in entry
        return "alphapose" if own else "coco"
    if "instances" in entry or "keypoint_scores" in entry:
        return "mmpose"
    return "ultralytics" if isinstance(entry.get("keypoints"), dict) else None
