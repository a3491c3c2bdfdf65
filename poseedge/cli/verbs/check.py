"""``poseedge check``: will that board take this graph?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from poseedge.bundle.reading import Bundle, open_bundle
from poseedge.cli import options
from poseedge.cli.at_hand import here
from poseedge.cli.console import emit_json, next_step, out, stage, table
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.graph.graph import Graph
from poseedge.targets.aot import DEFAULT_ARCHITECTURE, Compiled, Compiler, nearest_architecture, verdict
from poseedge.targets.boards import Target, load_target, parse_version
from poseedge.targets.preflight import Finding, check_graph, passed
from poseedge.targets.roofline import ASSUMPTIONS, Estimate, estimate

COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check(
    artefact: Annotated[Path, typer.Argument(help="A bundle folder or an .onnx file.")],
    target: options.Target = None,
    precision: options.Precisions = None,
    build: Annotated[
        bool, typer.Option("--compile", help="Also build engines with NVIDIA's own compiler; needs no GPU, but poseedge[aot].")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Check operators, types, shapes and Q/DQ against a target before leaving the workstation. Exits with 1 if it will not run.

    Example: poseedge check build/nanohtnet --target jetson-orin-nano
    """
    bundle = open_bundle(artefact) if artefact.is_dir() else None
    where = load_target(target or (bundle and bundle.manifest.target.name) or "default")
    paths = paths_of(artefact, bundle, precision)
    checked = [checked_graph(path, where) for path in paths]
    if build:
        add_builds(checked, where)
    graphs = [graph.summary() for graph in checked]
    fits = all(passed(graph.findings) for graph in checked)
    content = {
        "target": where.name,
        "passed": fits,
        "findings": [{**asdict(finding), "graph": graph.path.name} for graph in checked for finding in graph.findings],
        "artefact": str(artefact),
        "description": where.description,
        "graphs": graphs,
        "assumptions": ASSUMPTIONS,
    }
    if as_json:
        emit_json(content)
    else:
        show(content)
        say_next(artefact, bundle, where, fits)
    if not fits:
        raise typer.Exit(1)


@dataclass
class Checked:
    """One graph with all that is known of it."""

    path: Path
    graph: Graph
    findings: list[Finding]
    expected: Estimate | str  # or why there is none
    compiled: Compiled | None = None

    def summary(self) -> dict[str, Any]:
        """Return what the JSON says of it."""
        return {
            "file": self.path.name,
            "precision": self.graph.precision,
            "opset": self.graph.opset,
            "nodes": len(self.graph.nodes),
            "passed": passed(self.findings),
            "estimate": None if isinstance(self.expected, str) else asdict(self.expected),
            "no_estimate": self.expected if isinstance(self.expected, str) else "",
            "compiled": asdict(self.compiled) if self.compiled else None,
        }


def checked_graph(path: Path, target: Target) -> Checked:
    """Check one file and estimate its latency."""
    graph = Graph.load(path)
    findings = check_graph(graph, target)
    try:
        expected: Estimate | str = estimate(graph, target)
    except PoseedgeError as error:
        expected = error.message
    return Checked(path, graph, findings, expected)


def add_builds(checked: list[Checked], target: Target) -> None:
    """Build every graph for the architecture that is nearest to the target's."""
    architecture = nearest_architecture(target.board.sm) if target.board else DEFAULT_ARCHITECTURE
    with Compiler(architecture) as compiler, stage(f"build for {architecture}", len(checked)) as advance:
        for graph in checked:
            graph.compiled = compiler.compile(graph.path)
            graph.findings += verdict(graph.graph, graph.compiled)
            advance(1)


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
    printed: list[list[str | Text]] = []
    for (severity, rule, message, fix, source), same in rows.items():
        where = f"{same[0]['node']}: " if same[0]["node"] else ""
        places = len({finding["node"] for finding in same})
        more = f" ({places} times)" if places > 1 else ""
        graphs = " ".join(dict.fromkeys(precision[finding["graph"]] for finding in same))
        mark = Text.assemble((severity, COLOURS[severity]), f"\n{rule}")
        printed.append([mark, graphs, f"{where}{message}{more}", Text.assemble(f"{fix}\n", (source, "dim"))])
    if printed:
        heads = ["rule", "graphs", "finding", "fix, and the source of the rule"]
        table(f"{content['artefact']} on {content['target']}", heads, printed, text=tuple(heads[2:]))
    if any(graph["compiled"] for graph in content["graphs"]):
        show_builds(content["graphs"])
    if any(graph["estimate"] for graph in content["graphs"]):
        show_estimates(content)
    for graph in content["graphs"]:
        word = "[green]passed[/]" if graph["passed"] else "[bold red]refused[/]"
        out.print(
            f"{graph['file']}: {word} ({graph['precision']}, opset {graph['opset']}, {graph['nodes']} nodes)", soft_wrap=True
        )
    out.print(f"checked against {content['target']}: {content['description']}", soft_wrap=True)


def show_builds(graphs: list[dict[str, Any]]) -> None:
    """Print what NVIDIA's compiler made of the graphs."""
    rows = []
    for graph in graphs:
        built = graph["compiled"]
        inside = "refused" if built["error"] else f"{built['nodes'] - len(built['outside'])} of {built['nodes']}"
        sizes = [f"{built[key] / 1e6:.2f}" for key in ("weight_bytes", "activation_bytes", "engine_bytes")]
        rows.append([graph["precision"], inside, *sizes, f"{built['seconds']:.1f}", f"{built['peak_bytes'] / 1e6:.0f}"])
    architecture = graphs[0]["compiled"]["architecture"]
    title = f"Built by NVIDIA's TensorRT-RTX for {architecture}, without a GPU: it takes the graphs; no word on accuracy or speed"
    table(title, ["graph", "nodes inside", "weights MB", "activations MB", "engine MB", "seconds", "peak MB"], rows)


def show_estimates(content: dict[str, Any]) -> None:
    """Print the roofline."""
    rows = []
    for graph in content["graphs"]:
        expected = graph["estimate"]
        if not expected:
            out.print(f"no estimate for {graph['precision']}: {graph['no_estimate']}", soft_wrap=True)
            continue
        times = [f"{expected[key]:.2f}" for key in ("latency_ms", "compute_ms", "memory_ms", "launch_ms")]
        bound = f"{expected['launch_bound']} of {expected['kernels']}"
        sizes = [
            f"{expected['flops'] / 1e6:.1f}",
            f"{expected['weight_bytes'] / 1e6:.2f}",
            f"{expected['activation_bytes'] / 1e6:.2f}",
        ]
        rows.append([graph["precision"], *times, bound, *sizes])
    heads = ["graph", "ms", "arithmetic", "memory", "launches", "launch-bound", "MFLOP", "weights MB", "activations MB"]
    table(f"ESTIMATE of one window on {content['target']}, a roofline, measured nowhere", heads, rows)
    for assumption in content["assumptions"]:
        out.print(f"  assumes {assumption}", style="dim", soft_wrap=True)


def say_next(artefact: Path, bundle: Bundle | None, target: Target, fits: bool) -> None:
    """Print what to type next; poseedge itself needs Python 3.10, which older JetPacks lack, a bundle's runner does not."""
    if not fits and here("torch"):
        next_step("poseedge", "export", "--model", bundle.manifest.model if bundle else "MODEL", "--target", target.name)
    elif not fits:
        next_step("poseedge", "targets")
    elif target.jetpack is None:
        next_step("poseedge", "bench", artefact)
    elif bundle and parse_version(target.jetpack.python) < (3, 10):
        next_step("python3", "run.py", where=f"inside {artefact} on the board")
    else:
        next_step("poseedge", "build", artefact, where="on the board")
