"""Recipes: all that is special about exporting one model, as data."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from poseedge.contract import Table, parsed
from poseedge.errors import PoseedgeError
from poseedge.evaluation.results import Limits
from poseedge.files import read_toml
from poseedge.int8.placement import Level
from poseedge.int8.ranges import Method
from poseedge.lifter import Precision
from poseedge.network_files import TABLES, network_file


class Fp16(Table):
    """What the FP16 graph keeps in float32: patterns over weight names."""

    keep: list[str] = Field(default_factory=list)


class Int8(Table):
    """What the INT8 graph keeps in float, beyond the structural rule, and how it is calibrated: see ``docs/int8.md``."""

    level: Level = "A"
    keep: list[str] = Field(default_factory=list)
    # With --steady: layers whose input is rounded in two steps, steadier and slower.
    two_step: list[str] = Field(default_factory=lambda: ["*"])
    calibration: Method = "minmax"
    migrate: float = Field(default=0.5, ge=0, le=1)
    windows: int = Field(default=512, gt=0)


class OnnxRuntime(Table):
    """What ONNX Runtime must not do to the graphs, since it makes them slower: names of its optimizers."""

    disabled: list[str] = Field(default_factory=list)


class Recipe(Table):
    """One model's way from checkpoint to graphs."""

    model: str
    weights: str | None = None  # bundled checkpoint
    weights_mpjpe_mm: float | None = Field(default=None, gt=0)  # its error on the bundled sample, ground-truth keypoints
    fold: bool = True
    fp16: Fp16 = Fp16()
    int8: Int8 = Int8()
    onnxruntime: OnnxRuntime = OnnxRuntime()
    parity: dict[Precision, Limits]

    @property
    def limits(self) -> dict[Precision, Limits]:
        """What ``parity`` asks for; INT8 in a half-precision graph has INT8's limits unless it has its own."""
        limits = dict(self.parity)
        if "int8" in limits:
            limits.setdefault("int8-fp16", limits["int8"])
        return limits


def load_recipe(name: str) -> Recipe:
    """Return the recipe of model ``name``, or of a ``.toml`` path."""
    path = Path(name) if name.endswith(".toml") else network_file(name)
    if not path.is_file():
        raise PoseedgeError(f"{path}: no such recipe", "docs/recipes.md lists what a recipe holds")
    content = {key: value for key, value in read_toml(path).items() if key not in TABLES}
    return parsed(Recipe, content, str(path), "docs/recipes.md lists what a recipe holds")
