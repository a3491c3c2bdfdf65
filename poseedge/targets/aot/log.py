"""Reading the build log, ONNX Runtime's lines and TensorRT's inside them, and the program in an engine."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RUNTIME = re.compile(r"\S+ \S+ (\[([A-Z]):.*)")
_TENSORRT = re.compile(r"\[\S+ \S+ +(WARNING|ERROR|FATAL|INTERNAL_ERROR)\] (.*)")
_KERNEL = re.compile(rb"^ *(?:function|fully_connected)=\{", re.MULTILINE)
_PLACE = re.compile(r"(?:ERROR: )?\w+\.cpp:\d+:? ")  # in NVIDIA's sources


def complaints(text: str) -> list[str]:
    """Return the errors of ONNX Runtime, and the warnings and errors of TensorRT, each once, lines of one message joined."""
    found: list[str] = []
    going_on = False
    for line in _COLOUR.sub("", text).splitlines():
        start = _RUNTIME.match(line)
        if start is None:
            if going_on and line.strip():
                found[-1] += " " + line.strip()
            continue
        own = _TENSORRT.search(line)
        going_on = own is not None or start[2] in "EF"
        if going_on:
            found.append(f"TensorRT {own[1]}: {own[2]}" if own else start[1])
    return list(dict.fromkeys(found))


def refusal(messages: list[str]) -> str:
    """Return where TensorRT stopped and why, of its ``complaints``; empty if it did not complain."""
    errors = [_PLACE.sub("", line.removeprefix("TensorRT ERROR: ")) for line in messages if line.startswith("TensorRT ERROR: ")]
    where = [line for line in errors if line.startswith("While parsing node")]
    return " ".join([*where[:1], *[line for line in errors[-1:] if line not in where]])


def memory(text: str, what: str) -> int:
    """Return the bytes of ``Weights`` or ``Activation`` over all engines, as the detailed log tells; 0 without it."""
    return sum(int(count) for count in re.findall(rf"Total {what} Memory: (\d+) bytes", _COLOUR.sub("", text)))


def kernels(plan: bytes) -> int:
    """Return how many kernels an engine launches: its program lists functions, and products with what is fused to them."""
    return len(_KERNEL.findall(plan))
