"""A report as one HTML page: tables that sort, charts, and the poses in 3D; it fetches nothing."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

import poseedge
from poseedge.arrays import FloatArray
from poseedge.bench.accuracy import PosedClip
from poseedge.bench.report import Report, remarks
from poseedge.skeleton import BONES, JOINT_NAMES, LEFT, RIGHT

STATIC = Path(__file__).parent / "static"
THREE = Path(__file__).parents[1] / "live" / "page" / "static" / "three.bundle.js"  # see the README beside its folder
MOST_BLOCKS = 400  # of a row that a chart draws
UNITS_PER_M = 10_000  # poses are written in tenths of millimetres


def report_page(report: Report) -> str:
    """Return the page; it is under 3 MB for some dozens of artefacts, however long they were timed."""
    parts = {
        "STYLE": part("report.css"),
        "DATA": inline_json(data_of(report)),
        "REPORT": module("charts.js", "sections.js", "report.js"),
        "SKELETONS": f"{three()}\n{module('charts.js', 'skeletons.js')}",
    }
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], part("report.html"))


def data_of(report: Report) -> dict[str, Any]:
    """Return all that the page shows."""
    content, main, names = report.to_json(), report.main_rows, report.names()
    places = {id(row): place for place, row in enumerate(report.rows)}
    return {
        **content,
        "rows": [{**row, "blocks_ms": thinned(row["blocks_ms"])} for row in content["rows"]],
        "version": poseedge.__version__,
        "main": [places[id(row)] for row in main],
        "names": [names[row.artefact] for row in report.rows],
        "remarks": remarks(report),
        "clip": clip_data(report.clip) if report.clip else None,
    }


def thinned(blocks: list[float]) -> list[float]:
    """Return at most ``MOST_BLOCKS`` values: the medians of neighbours where there are more."""
    if len(blocks) <= MOST_BLOCKS:
        return blocks
    return [float(np.median(part)) for part in np.array_split(np.array(blocks), MOST_BLOCKS)]


def clip_data(clip: PosedClip) -> dict[str, Any]:
    """Return a clip with its poses as 16-bit integers."""
    return {
        "name": clip.name,
        "fps": clip.fps,
        "unitsPerMetre": UNITS_PER_M,
        "joints": list(JOINT_NAMES),
        "bones": BONES,
        "left": LEFT,
        "right": RIGHT,
        "truth": packed(clip.truth_m),
        "poses": {str(row): packed(poses) for row, poses in clip.poses_m.items()},
        "references": clip.references,
    }


def packed(poses_m: FloatArray) -> str:
    """Return poses ``(T, 17, 3)``, metres, as base64 of little-endian 16-bit integers."""
    whole = np.clip(np.rint(poses_m * UNITS_PER_M), -32768, 32767).astype("<i2")
    return base64.b64encode(whole.tobytes()).decode()


def inline_json(content: Any) -> str:
    """Return JSON that cannot end the element that it stands in."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def module(*names: str) -> str:
    """Return modules as one: without their imports of and exports to each other."""
    text = "\n".join(part(name) for name in names)
    return re.sub(r"^import [^;]*;\n|^export (?=function|class|const)", "", text, flags=re.MULTILINE)


def three() -> str:
    """Return three.js as a constant of that name, in place of a module that exports it; its short names stay inside."""
    text = THREE.read_text(encoding="utf-8")
    start = text.rindex("export{")
    pairs = [pair.split(" as ") for pair in text[start:].strip().removeprefix("export{").rstrip(";").rstrip("}").split(",")]
    exported = ",".join(f"{name}:{inner}" for inner, name in pairs)
    return f"const THREE=(()=>{{{text[:start]}return {{{exported}}};}})();"


def part(name: str) -> str:
    """Return one of the page's parts."""
    return (STATIC / name).read_text(encoding="utf-8")
