"""The JSON file beside an engine: what it was built from and for. It is read before TensorRT sees the plan.

TensorRT may crash on a foreign plan, and a plan says nothing of the network that it holds.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from poseedge.bundle.manifest import MANIFEST
from poseedge.bundle.reading import Bundle, open_bundle
from poseedge.device.runner.engine.identity import differences
from poseedge.device.runner.machine import board
from poseedge.engines.cuda import Cuda
from poseedge.errors import ArtefactError
from poseedge.files import atomic_write, read_json, sha256_of
from poseedge.lifter import LifterSpec
from poseedge.records import record

FORMAT = 1
FOLDER = "engines"  # beside the graphs
# How an error names each part of a device's identity.
DEVICE_WORDS = {
    "sm": "{}",
    "gpu": "{}",
    "board": "{}",
    "sms": "one of {} multiprocessors",
    "memory_gib": "one with {} GiB of memory",
}
REBUILD = "build it again, here: poseedge build {graph} --precision {precision}"


@dataclass(frozen=True)
class Asked:
    """What is asked of an engine's identity before it is loaded."""

    onnx_sha256: str
    tensorrt: str
    sm: str
    board: str | None
    options: dict[str, Any]


_ASKED = {field.name for field in fields(Asked)}


@dataclass(frozen=True)
class EngineFacts:
    """What is known of one engine."""

    identity: dict[str, Any]  # onnx_sha256, tensorrt, sm and all else that decides what the builder makes
    graph: str  # the ONNX file, seen from the engine's folder
    spec: LifterSpec
    plan_sha256: str
    build_s: float

    @property
    def version_compatible(self) -> bool:
        """Whether a later TensorRT of the same major version may load it."""
        return bool(self.identity["options"]["version_compatible"])


def sidecar(engine: Path) -> Path:
    """Return where the facts of ``engine`` lie."""
    return engine.with_name(engine.name + ".json")


def write_engine(engine: Path, plan: bytes, facts: EngineFacts) -> None:
    """Write plan and facts, each whole or not at all; facts that do not fit the plan are recognised by its hash."""
    with atomic_write(engine) as temporary:
        temporary.write_bytes(plan)
    with atomic_write(sidecar(engine)) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **asdict(facts)}, indent=2) + "\n")


def read_facts(engine: Path) -> EngineFacts | None:
    """Return what is known of ``engine``, None if nothing; raises ``ArtefactError`` if its JSON file is damaged."""
    path, hint = sidecar(engine), "delete it and build the engine again"
    if not path.is_file():
        return None
    content = read_json(path, "does not describe an engine", ArtefactError, hint)
    try:
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise ValueError(f"not format {FORMAT}")
        facts = record(EngineFacts, content)
        asked = record(Asked, {"board": None, **{k: facts.identity[k] for k in facts.identity.keys() & _ASKED}}, "identity.")
        if not re.fullmatch(r"\d+(\.\d+)+", asked.tensorrt):
            raise ValueError(f"identity.tensorrt should be a version, found {asked.tensorrt!r:.60}")
        if not isinstance(asked.options.get("version_compatible"), bool):
            raise ValueError("identity.options.version_compatible should be true or false")
    except ValueError as error:
        raise ArtefactError(f"{path}: does not describe an engine: {error}", hint) from error
    return facts


def graph_path(engine: Path, facts: EngineFacts) -> Path:
    """Return the ONNX file that ``engine`` was built from; it may have gone."""
    return Path(os.path.normpath(engine.parent / facts.graph))


def device_identity(cuda: Cuda) -> dict[str, Any]:
    """Return what is known of this device; all Orin modules call their GPU alike, so the board counts too."""
    return {
        "sm": "sm_{}{}".format(*cuda.capability),
        "gpu": cuda.gpu,
        "board": board(),
        "sms": cuda.sms,
        "memory_gib": cuda.memory_gib,
    }


def require_fit(engine: Path, facts: EngineFacts, tensorrt: str, device: dict[str, Any]) -> None:
    """Raise ``ArtefactError`` if ``engine`` is damaged, or of another TensorRT or device than this one.

    ``device`` is its ``device_identity``; a board that is unknown then or now, as in a container, is not another.
    """
    hint = REBUILD.format(graph=graph_path(engine, facts), precision=facts.spec.precision)
    built = facts.identity["tensorrt"]
    for key in differences(facts.identity, device):
        then, now = (DEVICE_WORDS[key].format(identity[key]) for identity in (facts.identity, device))
        raise ArtefactError(f"{engine}: built for {then}, this device is {now}", hint)
    if built != tensorrt and not (facts.version_compatible and compatible(built, tensorrt)):
        raise ArtefactError(f"{engine}: built by TensorRT {built}, this is TensorRT {tensorrt}", hint)
    if sha256_of(engine) != facts.plan_sha256:
        raise ArtefactError(f"{engine}: damaged: its hash is not the one that {sidecar(engine).name} holds", hint)


def compatible(built: str, here: str) -> bool:
    """Say whether a version-compatible plan of TensorRT ``built`` may be loaded ``here``: same major version, no older."""
    then, now = ([int(part) for part in version.split(".")[:3]] for version in (built, here))
    return then[0] == now[0] and now >= then


def bundle_of(engine: Path) -> Bundle | None:
    """Return the bundle that ``engine`` was built from, None if it was from none, or that has gone or changed."""
    facts = read_facts(engine)
    if facts is None:
        return None
    graph = graph_path(engine, facts)
    if not (graph.parent / MANIFEST).is_file():
        return None
    bundle = open_bundle(graph.parent)
    return bundle if bundle.manifest.files.get(graph.name) == facts.identity["onnx_sha256"] else None
