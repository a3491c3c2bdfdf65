"""``poseedge targets``: what can be exported for and checked against."""

from __future__ import annotations

from typing import Any

from poseedge.cli import options
from poseedge.cli.at_hand import some_bundle
from poseedge.cli.console import emit_json, next_step, table
from poseedge.targets.boards import Target, facts
from poseedge.targets.boards import targets as all_targets


def targets(as_json: options.Json = False) -> None:
    """Show boards, JetPack lines and what each takes.

    Example: poseedge targets
    """
    known = all_targets()
    if as_json:
        emit_json({"targets": [target.model_dump() for target in known.values()], "sources": facts("sources")})
        return
    names = [*facts("targets"), *facts("boards")]
    heads = ["target", "-jp", "TensorRT", "opset", "precisions", "sm", "GB/s", "FP32", "FP16", "INT8", "other -jp"]
    title = "Targets (peaks: dense TFLOPS or TOPS of the GPU alone)"
    table(title, heads, [_row(known[name]) for name in names], text=("other -jp",))
    lines = [_line(key, entry) for key, entry in facts("jetpacks").items()]
    table(
        "JetPack lines, TARGET-jpLINE",
        ["line", "JetPack", "L4T", "TensorRT", "Python", "note"],
        lines,
        text=("JetPack", "L4T", "note"),
    )
    next_step("poseedge", "check", some_bundle(), "--target", "jetson-orin-nano")


def _row(target: Target) -> list[str]:
    board, line = target.board, target.jetpack
    common = [str(target.opset), " ".join(target.precisions)]
    if board is None or line is None:
        span = " to ".join(release.version for release in target.releases)
        return [target.name, "", span or "ONNX Runtime", *common, *[""] * 6]
    peaks = [f"{peak:g}" if peak else "none" for peak in (board.fp32_tflops, board.fp16_tflops, board.int8_tops)]
    others = " ".join(key for key in board.jetpacks if key != board.jetpack)
    return [target.name, board.jetpack, line.tensorrt, *common, board.sm, f"{board.memory_gb_s:g}", *peaks, others]


def _line(key: str, entry: dict[str, Any]) -> list[str]:
    return [key, entry["jetpack"], entry["l4t"], entry["tensorrt"], entry["python"], entry.get("note", "")]
