"""Will this target take this graph? ``check_graph`` answers before anything leaves the workstation."""

from poseedge.deploy.preflight.check import check_file, check_graph, passed
from poseedge.deploy.preflight.rules import RULES, Finding

__all__ = ["RULES", "Finding", "check_file", "check_graph", "passed"]
