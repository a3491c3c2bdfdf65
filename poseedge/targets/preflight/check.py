"""All rules on one graph."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from poseedge.errors import ArtefactError
from poseedge.targets.boards import Target
from poseedge.targets.preflight import layout, operators, quantization, runtime, types  # noqa: F401  # they register rules
from poseedge.targets.preflight.rules import RULES, Finding
from poseedge.targets.preflight.view import View

ORDER = ("error", "warning", "note")


def check_file(path: Path, target: Target) -> tuple[onnx.ModelProto, list[Finding]]:
    """Return the graph in ``path`` and what ``target`` has against it; raises ``ArtefactError`` if it cannot be read."""
    try:
        model = onnx.load(path, load_external_data=False)
        outside = tuple(tensor.name for tensor in model.graph.initializer if uses_external_data(tensor))
        load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # protobuf and ONNX raise types of their own
        reason = str(error).strip().splitlines()[0]
        hint = "is it truncated, or is the file with its weights missing beside it? export or copy it again"
        raise ArtefactError(f"{path}: not a readable ONNX file ({reason})", hint) from error
    if not model.graph.node:
        raise ArtefactError(f"{path}: not an ONNX graph, it holds no node", "name a .onnx file or a bundle")
    return model, check_graph(model, target, outside)


def check_graph(model: onnx.ModelProto, target: Target, outside: tuple[str, ...] = ()) -> list[Finding]:
    """Return what ``target`` has against ``model``, errors first; ``outside`` names weights that came from another file."""
    view = View(model, outside)
    found = [finding for rule in RULES.values() if rule.concerns(target) for finding in rule.findings(view, target)]
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def passed(findings: list[Finding]) -> bool:
    """Say whether nothing stands in the way."""
    return all(finding.severity != "error" for finding in findings)
