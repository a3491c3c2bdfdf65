"""``poseedge check``: will that board take this graph?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from poseedge.bundle import Bundle, open_bundle
from poseedge.cli.console import emit_json, next_step, out, table
from poseedge.errors import ArtefactError

COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check(
    artefact: Annotated[Path, typer.Argument(help="A bundle folder or an .onnx file.")],
    target: Annotated[
        str | None, typer.Option(help="What will run it; poseedge targets shows them. [default: what the bundle was made for]")
    ] = None,
    precision: Annotated[list[str] | None, typer.Option(help="Only these graphs of a bundle (repeat).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Check operators, types, shapes and Q/DQ against a target before leaving the workstation. Exits with 1 if it will not run.

    Example: poseedge check build/nanohtnet --target jetson-orin-nano
    """
    from poseedge.deploy.preflight import check_file, passed
    from poseedge.deploy.preflight.view import View
    from poseedge.deploy.targets import load_target

    bundle = open_bundle(artefact) if artefact.is_dir() else None
    where = load_target(target or (bundle and bundle.manifest.get("target", {}).get("name")) or "default")
    graphs, findings = [], []
    for path in paths_of(artefact, bundle, precision):
        model, found = check_file(path, where)
        view = View(model)
        findings += [{**asdict(finding), "graph": path.name} for finding in found]
        graphs.append(
            {
                "file": path.name,
                "precision": view.precision,
                "opset": view.opset,
                "nodes": len(view.nodes),
                "passed": passed(found),
            }
        )
    content = {
        "target": where.name,
        "passed": all(graph["passed"] for graph in graphs),
        "findings": findings,
        "artefact": str(artefact),
        "description": where.description,
        "graphs": graphs,
    }
    if as_json:
        emit_json(content)
    else:
        show(content)
        next_step(next_command(artefact, bundle, content))
    if not content["passed"]:
        raise typer.Exit(1)


def paths_of(artefact: Path, bundle: Bundle | None, precisions: list[str] | None) -> list[Path]:
    """Return the ONNX files to check."""
    if bundle:
        return [bundle.graph(precision) for precision in precisions or bundle.precisions]
    if precisions:
        raise ArtefactError(f"{artefact}: is one graph, and --precision chooses among a bundle's", "leave --precision out")
    if not artefact.is_file():
        raise ArtefactError(f"{artefact}: no such file or folder", "name a bundle folder or an .onnx file")
    return [artefact]


def show(content: dict[str, Any]) -> None:
    """Print what was found, the same thing in several graphs or nodes in one row, and a verdict for each graph."""
    precision = {graph["file"]: graph["precision"] for graph in content["graphs"]}
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for finding in sorted(content["findings"], key=lambda finding: list(COLOURS).index(finding["severity"])):
        key = tuple(finding[part] for part in ("severity", "rule", "message", "fix", "source"))
        rows.setdefault(key, []).append(finding)
    printed = []
    for (severity, rule, message, fix, source), same in rows.items():
        where = f"{escape(same[0]['node'])}: " if same[0]["node"] else ""
        places = len({finding["node"] for finding in same})
        more = f" ({places} times)" if places > 1 else ""
        graphs = " ".join(dict.fromkeys(precision[finding["graph"]] for finding in same))
        mark = f"[{COLOURS[severity]}]{severity}[/]\n{rule}"
        printed.append([mark, graphs, f"{where}{escape(message)}{more}", f"{escape(fix)}\n[dim]{escape(source)}[/]"])
    if printed:
        heads = ["rule", "graphs", "finding", "way out, and the source of the rule"]
        table(f"{content['artefact']} on {content['target']}", heads, printed, text=tuple(heads[2:]))
    for graph in content["graphs"]:
        verdict = "[green]passed[/]" if graph["passed"] else "[bold red]refused[/]"
        out.print(
            f"{graph['file']}: {verdict} ({graph['precision']}, opset {graph['opset']}, {graph['nodes']} nodes)", soft_wrap=True
        )
    out.print(f"checked against {content['target']}: {content['description']}", soft_wrap=True)


def next_command(artefact: Path, bundle: Bundle | None, content: dict[str, Any]) -> str:
    """Return what to type next."""
    if not content["passed"]:
        model = bundle.manifest["model"] if bundle else "MODEL"
        return f"poseedge export --model {model} --target {content['target']}"
    return f"poseedge bench {artefact}"
