"""``poseedge doctor``: what this machine has, what works on it, and what to install."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import typer

from poseedge.backends.backend import Probe
from poseedge.backends.registry import probes
from poseedge.bench.machine import machine_facts
from poseedge.cli import options
from poseedge.cli.at_hand import some_bundle
from poseedge.cli.console import emit_json, err, next_step, out, table
from poseedge.targets.aot import missing_part


def doctor(as_json: options.Json = False) -> None:
    """Show versions, processor, accelerator and which backends work. Exits with 1 if none can run a bundle.

    Example: poseedge doctor
    """
    with err.status("trying the backends"):
        facts, backends = machine_facts(), probes()
    command = next_command(backends)
    reason, fix = missing_part()
    compiler = {"works": not reason, "detail": reason or "poseedge check --compile", "fix": fix}
    if as_json:
        content = {"machine": facts, "backends": [asdict(b) for b in backends], "compiler": compiler, "next": shlex.join(command)}
        emit_json(content)
    else:
        table("This machine", ["", "value"], facts_rows(facts), text=("value",))
        rows = [[each.name, "yes" if each.works else "no", each.detail, each.fix] for each in backends]
        table("Backends", ["backend", "works", "detail", "to do"], rows, text=("works", "detail", "to do"))
        word = "works without a GPU" if compiler["works"] else "cannot run here"
        said = "; ".join(filter(None, [str(compiler["detail"]), fix]))
        out.print(f"NVIDIA's compiler {word}: {said}", markup=False, soft_wrap=True)
        next_step(*command)
    if not any(backend.works for backend in backends if {".onnx", ".engine"} & {*backend.opens}):
        raise typer.Exit(1)


def facts_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Return the machine, a row for each fact."""
    board = facts["jetson"] or {}
    lines = {
        "CPU": f"{facts['cpu']}, {facts['cores_available']} of {facts['cores']} cores available",
        "governor": facts["governor"] or "not shown by this system",
        "memory": f"{facts['memory_bytes'] / 1e9:.1f} GB",
        "GPU": "; ".join(facts["gpus"]) or "no NVIDIA GPU found",
        **{{"l4t": "L4T", "jetpack": "JetPack"}.get(k, k.replace("_", " ")): v or "unknown" for k, v in board.items()},
        "system": f"{facts['os']}, Python {facts['python']}",
        **{name: version or "not installed" for name, version in facts["packages"].items()},
    }
    return [[fact, str(value)] for fact, value in lines.items()]


def next_command(backends: list[Probe]) -> list[str]:
    """Return what to type next on this machine."""
    working = {backend.name for backend in backends if backend.works}
    if "onnxruntime" not in working:
        return ["pip", "install", "onnxruntime"]
    if "torch" in working:
        return ["poseedge", "export", "--model", "nanohtnet"]
    verb = "build" if "tensorrt" in working else "bench"
    return ["poseedge", verb, str(some_bundle()), *(["--precision", "int8"] if verb == "build" else [])]
