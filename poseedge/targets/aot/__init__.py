"""NVIDIA's own compiler on a machine without a GPU: ``with Compiler(...) as compiler: compiler.compile(path)``."""

from poseedge.targets.aot.compiler import DEFAULT_ARCHITECTURE, Compiled, Compiler, missing_part, nearest_architecture
from poseedge.targets.aot.verdict import verdict

__all__ = ["DEFAULT_ARCHITECTURE", "Compiled", "Compiler", "missing_part", "nearest_architecture", "verdict"]
