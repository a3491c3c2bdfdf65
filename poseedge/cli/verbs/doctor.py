"""``poseedge doctor``: what this machine has, what works on it, and what to install."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from poseedge.backends.backend import Probe
from poseedge.backends.registry import probes
from poseedge.bench.machine import machine_facts
from poseedge.bench.report import new_table
from poseedge.cli.console import emit_json
from poseedge.targets.aot import missing_part


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False) -> None:
    """Show versions, processor, accelerator and which backends work. Exits with 1 if none can run a bundle.

    Example: poseedge doctor
    """
    with Console(stderr=True).status("trying the backends"):
        facts, backends = machine_facts(), probes()
    command = next_command(backends)
    reason, fix = missing_part()
    compiler = {"works": not reason, "detail": reason or "poseedge check --compile", "fix": fix}
    if as_json:
        content = {"machine": facts, "backends": [asdict(b) for b in backends], "compiler": compiler, "next": command}
        emit_json(content)
    else:
        console = Console(highlight=False)
        console.print(facts_table(facts))
        console.print(backends_table(backends))
        word = "works without a GPU" if compiler["works"] else "cannot run here"
        said = "; ".join(filter(None, [str(compiler["detail"]), fix]))
        console.print(f"NVIDIA's compiler {word}: {said}", markup=False, soft_wrap=True)
        console.print(f"next: {command}", markup=False, soft_wrap=True)
    if not any(backend.works for backend in backends if {".onnx", ".engine"} & {*backend.opens}):
        raise typer.Exit(1)


def facts_table(facts: dict[str, Any]) -> Table:
    """Return the machine, a line for each fact."""
    table = new_table("This machine")
    table.show_header = False
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
    for fact, value in lines.items():
        table.add_row(fact, Text(value))
    return table


def backends_table(backends: list[Probe]) -> Table:
    """Return the backends, with what to install for those that do not work."""
    table = new_table("Backends")
    for heading in ("backend", "works", "detail", "to do"):
        table.add_column(heading, overflow="fold")
    for backend in backends:
        table.add_row(backend.name, "yes" if backend.works else "no", Text(backend.detail), Text(backend.fix))
    return table


def next_command(backends: list[Probe]) -> str:
    """Return what to type next on this machine."""
    working = {backend.name for backend in backends if backend.works}
    if "onnxruntime" not in working:
        return "pip install onnxruntime"
    if "torch" in working:
        return "poseedge export --model nanohtnet"
    return "poseedge build BUNDLE --precision fp16" if "tensorrt" in working else "poseedge bench BUNDLE"
