"""Targets: what each board, with the TensorRT that its JetPack brings, takes. The facts are data with sources, in ``facts/``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from poseedge.errors import PoseedgeError, nearest
from poseedge.files import read_toml
from poseedge.lifter import Precision

FACTS = Path(__file__).with_name("facts")
MIXED_ELSEWHERE = (
    "INT8 and FP16 in one graph is for TensorRT that takes precision from the graph (10.12 and later); elsewhere take int8, "
    "whose rest builder flags put into FP16"
)
DECOMPOSED, MODERN = 13, 17  # the opsets that export writes for TensorRT: without and with LayerNormalization as an operator

Version = tuple[int, ...]
INT8_WEIGHTS: Version = (10,)  # TensorRT that reads weights stored as INT8; before, only float ones with Q and DQ are sure to be
Runtime = Literal["tensorrt", "onnxruntime"]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Board(_Facts):
    """One Jetson module; peaks are dense, of the GPU alone, at ``gpu_mhz``."""

    name: str
    soc: str
    architecture: str
    sm: str  # compute capability
    sm_count: int
    gpu_mhz: float
    memory_gb: list[int]
    memory_gb_s: float
    fp32_tflops: float
    fp16_tflops: float
    int8_tops: float | None = None
    formats: list[str]  # that TensorRT computes in
    without_int8: str = ""  # why there is no INT8
    power_modes: str
    jetpacks: list[str]
    jetpack: str  # the line that the board's plain name stands for
    sources: list[str]
    unconfirmed: list[str] = []


class JetPack(_Facts):
    """One JetPack line: those releases that bring the same TensorRT."""

    jetpack: str
    l4t: str
    tensorrt: str
    cuda: str
    ubuntu: str
    python: str
    note: str = ""
    sources: list[str]


class Release(_Facts):
    """What one TensorRT release reads."""

    version: str
    opsets: tuple[int, int]  # oldest and newest
    typing: Literal["weak", "either", "strong"]
    source: str
    ir: int  # newest version of the file format that it knows
    ir_source: str

    @property
    def number(self) -> Version:
        """The version, to be compared."""
        return parse_version(self.version)


class Operators(_Facts):
    """Operators that TensorRT reads from ``since`` on; ``absent`` is the newest release known to lack them."""

    since: str
    absent: str = "0"
    names: str
    source: str


class Target(_Facts):
    """What a graph is made for: a board with one JetPack line, or a range of TensorRT releases, or ONNX Runtime."""

    name: str
    description: str
    runtime: Runtime  # that must take the graph
    opset: int  # that export writes
    cpu_form: bool = False  # rewritten for ONNX Runtime's CPU kernels, see graph/cpu_form.py
    precisions: list[Precision]
    why: str  # the reason for opset and for what is left out, with its source
    releases: list[Release]  # oldest and newest TensorRT that must take the graph; none for other runtimes
    ir: int | None = None  # newest version of the file format, where no release says it
    board: Board | None = None
    jetpack: JetPack | None = None

    @property
    def oldest(self) -> Version:
        """The oldest TensorRT that must take the graph."""
        return self.releases[0].number

    @property
    def newest(self) -> Version:
        """The newest TensorRT that must take the graph."""
        return self.releases[-1].number

    @property
    def newest_ir(self) -> int:
        """The newest version of the file format that every runtime of this target knows."""
        return min(release.ir for release in self.releases) if self.releases else self.ir or 0

    @property
    def reads_int8_weights(self) -> bool:
        """Whether every release reads weights that are stored as INT8, with a DequantizeLinear alone."""
        return all(release.number >= INT8_WEIGHTS for release in self.releases)

    def refusal(self, precision: str) -> str:
        """Return why ``precision`` does not exist here."""
        reason = self.board.without_int8 if self.board and precision.startswith("int8") else ""
        if precision == "int8-fp16" and "int8" in self.precisions:
            reason = MIXED_ELSEWHERE
        return f"{self.name} takes {', '.join(self.precisions)}, not {precision}: {reason or self.why}"


def load_target(name: str) -> Target:
    """Return the target ``name``: a board's, such as ``jetson-orin-nano`` or ``jetson-orin-nano-jp5.1``, or a general one."""
    everything = targets()
    if name not in everything:
        board = next((known for known in sorted(facts("boards"), reverse=True) if name.startswith(f"{known}-jp")), "")
        near = [known for known in everything if known.startswith(f"{board}-jp")] if board else plain_names()
        raise PoseedgeError(f"unknown target {name!r}", f"{nearest(name, near)}; poseedge targets shows them all")
    return everything[name]


def plain_names() -> list[str]:
    """Return the names of the targets, each board's with its usual JetPack alone."""
    return [*facts("targets"), *facts("boards")]


@cache
def targets() -> dict[str, Target]:
    """Return every target by name; a board's plain name is the one with its usual JetPack."""
    known, found = releases(), {}
    for name, entry in facts("targets").items():
        span = [known[version] for version in entry["releases"]]
        found[name] = Target.model_validate({**entry, "name": name, "releases": span})
    lines = {key: JetPack.model_validate(entry) for key, entry in facts("jetpacks").items()}
    for name, board in boards().items():
        found[name] = board_target(name, board, lines[board.jetpack])
        for key in board.jetpacks:
            found[f"{name}-jp{key}"] = board_target(f"{name}-jp{key}", board, lines[key])
    return found


def board_target(name: str, board: Board, line: JetPack) -> Target:
    """Return the target of ``board`` with the software of ``line``."""
    release = releases()[".".join(line.tensorrt.split(".")[:2])]
    modern = support("LayerNormalization", release) == "yes"
    reason = f"TensorRT {line.tensorrt} reads ONNX up to opset {release.opsets[1]}"
    if not modern:
        reason += ", but LayerNormalization only from 8.6 on: the norms are decomposed" if release.opsets[1] >= MODERN else ""
    return Target(
        name=name,
        description=f"{board.name.split(' (')[0]}: JetPack {line.jetpack}, TensorRT {line.tensorrt}",
        runtime="tensorrt",
        opset=MODERN if modern else DECOMPOSED,
        precisions=precisions_of(board, release),
        why="; ".join(filter(None, [f"{reason} ({release.source})", board.without_int8])),
        releases=[release, release],
        board=board,
        jetpack=line,
    )


def precisions_of(board: Board, release: Release) -> list[Precision]:
    """Return the precisions that ``board`` has with ``release``; only with strong typing does a graph mix INT8 and FP16."""
    if "int8" not in board.formats:
        return ["fp32", "fp16"]
    return ["fp32", "fp16", "int8"] if release.typing == "weak" else ["fp32", "fp16", "int8", "int8-fp16"]


@cache
def releases() -> dict[str, Release]:
    """Return the TensorRT releases by version."""
    table = facts("tensorrt")["release"]
    return {version: Release.model_validate({"version": version, **entry}) for version, entry in table.items()}


@cache
def boards() -> dict[str, Board]:
    """Return the boards by name; a table with ``like`` has what the named one has, but for what it says itself."""
    tables = facts("boards")
    return {name: Board.model_validate(_completed(table, tables)) for name, table in tables.items()}


def _completed(table: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    like = tables[table["like"]] if "like" in table else {}
    return {**like, **{key: value for key, value in table.items() if key != "like"}}


def support(operator: str, release: Release) -> Literal["yes", "no", "unknown"]:
    """Say whether ``release`` reads ``operator``; unknown lies between a table that lacks it and one that has it."""
    entry = operator_table().get(operator)
    if entry is None or release.number <= parse_version(entry.absent):
        return "no"
    return "yes" if release.number >= parse_version(entry.since) else "unknown"


@cache
def operator_table() -> dict[str, Operators]:
    """Return, for each operator that some TensorRT reads, since when."""
    groups = [Operators.model_validate(entry) for entry in facts("tensorrt")["operators"]]
    return {name: group for group in groups for name in group.names.split()}


def fix_for(operator: str) -> str:
    """Return what to write in place of ``operator``."""
    return str(facts("tensorrt")["instead"].get(operator, "write it with other operators before exporting"))


def parse_version(text: str) -> Version:
    """Return ``10.3`` as (10, 3)."""
    return tuple(int(part) for part in text.split("."))


@cache
def facts(name: str) -> dict[str, Any]:
    """Return one of the tables in ``facts/``; do not change it."""
    return read_toml(FACTS / f"{name}.toml")
