"""Training recipes: how each network is trained, as data.

``[training]`` in a network's file holds what its paper's code does; ``recipes/`` holds what is laid over it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from poseedge.contract import Positive, Table, parsed
from poseedge.errors import PoseedgeError, nearest
from poseedge.files import read_toml
from poseedge.network_files import network_files, read_table
from poseedge.settings import merged, read_setting

_RECIPES = Path(__file__).with_name("recipes")
_ADDITIONS = ("live", "views")  # recipes that --config lays over a network's own
_QAT = "qat"  # the one that --qat lays over it
TERMS = ("mpjpe", "weighted_mpjpe", "temporal", "velocity", "n_mpjpe", "p_mpjpe")

Ratio = Annotated[float, Field(gt=0, le=1)]


class Optimizer(Table):
    """Adam, or AdamW with its decoupled weight decay."""

    name: Literal["adam", "adamw"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    amsgrad: bool = True


class Schedule(Table):
    """How the learning rate falls: by ``decay`` after each epoch, by ``drop`` instead after every ``drop_every``-th.

    ``cosine`` falls from ``lr`` to ``lr_min`` over all steps, after ``warmup`` of them. ``batch_norm`` falls geometrically,
    from epoch to epoch.
    """

    kind: Literal["epochs", "cosine"] = "epochs"
    decay: float = Field(default=0.95, gt=0, le=1)
    drop: float = Field(default=0.5, gt=0, le=1)
    drop_every: Positive = 5
    warmup: int = Field(default=0, ge=0)
    lr_min: float = Field(default=1e-5, ge=0)
    # Momentum of batch norms in the first epoch and after the last.
    batch_norm: Annotated[list[Ratio], Field(min_length=2, max_length=2)] | None = None


class Data(Table):
    """Which windows are seen: as recorded, or endless augmented ones.

    ``views``: other headings and bodies (``training/views.py``); ``live``: any camera, a detector's joints and their gaps
    (``training/live_windows.py``).
    """

    source: Literal["recorded", "views", "live"] = "recorded"
    validate_on: list[str] = Field(default_factory=list)  # training subjects kept out, to judge by in place of the test's
    keypoints: Literal["gt", "detected"] = "detected"
    cut: Literal["centered", "consecutive"] = "centered"
    stride: Positive | None = None  # every frame if centered, the window's length if consecutive
    mirror: Literal["both", "random", "none"] = "both"


class Refine(Table):
    """The second stage, in which the network and a refine module train on the refined pose."""

    module: str
    lr: float = Field(default=1e-5, gt=0)
    batch: Positive = 256


class TrainingRecipe(Table):
    """Everything that decides the result, apart from the data."""

    model: str
    network: dict[str, Any] = Field(default_factory=dict)  # its configuration, where it is not the default
    loss: dict[str, float]  # weight of each term
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    data: Data = Data()
    refine: Refine | None = None
    epochs: Positive = 20
    steps: Positive | None = None  # instead of epochs
    batch: Positive = 256  # windows of a step, over all processes
    regularize: bool = True  # dropout and stochastic depth
    average: float = Field(default=0.0, ge=0, lt=1)  # decay of an average of the weights, kept in their place; 0: none
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = Field(default=1, ge=0)
    evaluate_every: Positive | None = None  # steps; else after every epoch

    @field_validator("loss")
    @classmethod
    def _known_terms(cls, loss: dict[str, float]) -> dict[str, float]:
        for name in loss:
            if name not in TERMS:
                raise ValueError(f"there is no loss term {name!r}; " + nearest(name, list(TERMS)))
        if not any(loss.values()):
            raise ValueError("at least one loss term needs a weight")
        return loss

    def total_steps(self, per_epoch: int) -> int:
        """Return how many steps this recipe makes where an epoch has ``per_epoch``."""
        return self.steps or self.epochs * per_epoch

    def learning_rate(self, step: int, per_epoch: int) -> float:
        """Return the learning rate of ``step``."""
        lr, schedule = self.optimizer.lr, self.schedule
        if step < schedule.warmup:
            return lr * (step + 1) / schedule.warmup
        if schedule.kind == "epochs":
            epochs = step // per_epoch
            drops = epochs // schedule.drop_every
            return lr * schedule.decay ** (epochs - drops) * schedule.drop**drops
        progress = (step - schedule.warmup) / max(1, self.total_steps(per_epoch) - schedule.warmup)
        return schedule.lr_min + (lr - schedule.lr_min) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def batch_norm_momentum(self, step: int, per_epoch: int) -> float | None:
        """Return the momentum of batch norms at ``step``, None if it stays what the network has."""
        if self.schedule.batch_norm is None:
            return None
        first, last = self.schedule.batch_norm
        return first * (last / first) ** (step // per_epoch * per_epoch / self.total_steps(per_epoch))

    def second_stage(self) -> TrainingRecipe:
        """Return the recipe of the refine stage. Raises ``PoseedgeError`` for a network that has none."""
        if self.refine is None:
            raise PoseedgeError(
                f"{self.model} has no refine stage",
                f"these have: {', '.join(n for n in recipe_names() if load_training_recipe(n).refine)}",
            )
        optimizer = self.optimizer.model_copy(update={"lr": self.refine.lr})
        return self.model_copy(update={"optimizer": optimizer, "batch": self.refine.batch, "loss": {"mpjpe": 1.0}})


def recipe_names() -> list[str]:
    """Return the networks that have a recipe, sorted."""
    return [name for name in network_files() if read_table(name, "training")]


def load_training_recipe(
    model: str, config: str | None = None, settings: Sequence[str] = (), qat: bool = False
) -> TrainingRecipe:
    """Return the published recipe of ``model``, changed by a TOML file (or ``views``, ``live``), then by ``key=value`` settings.

    With ``qat``, that of quantization-aware training is laid over it first.

    Raises ``PoseedgeError`` that names the file or setting, and the key.
    """
    if model not in recipe_names():
        raise PoseedgeError(f"there is no training recipe for {model!r}", nearest(model, recipe_names()))
    content, where = read_table(model, "training"), f"recipe of {model}"
    if qat:
        content = merged(content, read_toml(_RECIPES / f"{_QAT}.toml"))
    if config is not None:
        path = _RECIPES / f"{config}.toml" if config in _ADDITIONS else Path(config)
        if not path.is_file():
            raise PoseedgeError(f"{path}: no such file", f"--config takes a TOML file, or one of: {', '.join(_ADDITIONS)}")
        content, where = merged(content, read_toml(path)), f"{path}"
    recipe = _validated(model, content, where)
    for setting in settings:
        content = merged(content, read_setting(setting))
        recipe = _validated(model, content, f"--set {setting}")
    return recipe


def _validated(model: str, content: dict[str, Any], where: str) -> TrainingRecipe:
    from poseedge.models.registry import check_settings  # here alone: reading a recipe's schema does without PyTorch

    recipe = parsed(TrainingRecipe, {"model": model} | content, where, "docs/training.md lists what a recipe holds")
    if recipe.model != model:
        raise PoseedgeError(f"this is the training recipe of {recipe.model}, not of {model}", f"use --model {recipe.model}")
    try:
        check_settings(recipe.model, recipe.network)
    except PoseedgeError as error:
        raise PoseedgeError(f"{where}: {error.message}", error.hint) from error
    return recipe
