"""All rules on one graph."""

from __future__ import annotations

from poseedge.graph.graph import Graph
from poseedge.targets.boards import Target
from poseedge.targets.preflight import layout, operators, quantization, runtime, types  # noqa: F401  # they register rules
from poseedge.targets.preflight.rules import RULES, Finding

ORDER = ("error", "warning", "note")


def check_graph(graph: Graph, target: Target) -> list[Finding]:
    """Return what ``target`` has against ``graph``, errors first."""
    found = [finding for rule in RULES.values() if rule.concerns(target) for finding in rule.findings(graph, target)]
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def passed(findings: list[Finding]) -> bool:
    """Say whether nothing stands in the way."""
    return all(finding.severity != "error" for finding in findings)
