"""Will this target take this graph? ``check_graph`` answers before anything leaves the workstation."""

from poseedge.targets.preflight.check import check_graph, passed
from poseedge.targets.preflight.rules import RULES, Finding

__all__ = ["RULES", "Finding", "check_graph", "passed"]
