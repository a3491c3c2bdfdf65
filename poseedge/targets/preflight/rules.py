"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import onnx

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import label
from poseedge.targets.boards import Runtime, Target

Severity = Literal["error", "warning", "note"]  # it will not build or is wrong; it costs speed or accuracy; good to know


@dataclass(frozen=True)
class Finding:
    """One thing that a target has against a graph, and the fix."""

    rule: str
    severity: Severity
    node: str  # or the tensor; empty for the graph as a whole
    message: str
    fix: str
    source: str


class Issue(NamedTuple):
    """What a rule yields; the rule itself knows the rest."""

    where: onnx.NodeProto | str
    message: str
    fix: str
    severity: Severity | None = None
    source: str = ""


Judge = Callable[[Graph, Target], Iterator[Issue]]


@dataclass(frozen=True)
class Rule:
    """One rule; ``summary`` is its docstring."""

    name: str
    severity: Severity
    runtime: Runtime | Literal["any"]
    source: str
    judge: Judge

    @property
    def summary(self) -> str:
        """What the rule asks for."""
        return (self.judge.__doc__ or "").strip()

    def concerns(self, target: Target) -> bool:
        """Say whether the rule holds for the runtime of ``target``."""
        return self.runtime in ("any", target.runtime)

    def findings(self, graph: Graph, target: Target) -> Iterator[Finding]:
        """Yield what the rule finds in a graph."""
        for issue in self.judge(graph, target):
            where = issue.where if isinstance(issue.where, str) else label(issue.where)
            finding = Finding(self.name, self.severity, where, issue.message, issue.fix, issue.source or self.source)
            yield replace(finding, severity=issue.severity) if issue.severity else finding


RULES: dict[str, Rule] = {}


def rule(name: str, severity: Severity, source: str, runtime: Runtime | Literal["any"] = "tensorrt") -> Callable[[Judge], Judge]:
    """Register a rule under ``name``; its docstring says what it asks for."""

    def register(judge: Judge) -> Judge:
        RULES[name] = Rule(name, severity, runtime, source, judge)
        return judge

    return register
