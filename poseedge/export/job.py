"""One export to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from poseedge.errors import PoseedgeError, nearest
from poseedge.export.recipe import Recipe, load_recipe
from poseedge.int8.ranges import METHODS
from poseedge.lifter import PRECISIONS, Precision
from poseedge.models.network import LiftingNetwork
from poseedge.resources import resource
from poseedge.targets.boards import Target

SEQUENCE = 81  # poses of a window, from which on a few windows are sample enough


@dataclass(frozen=True)
class Export:
    """What is exported, for what, where to, and on what data it is calibrated and proved."""

    recipe: Recipe
    checkpoint: Path
    bundled: bool  # the checkpoint is the one that travels with poseedge
    target_name: str
    target: Target
    precisions: tuple[Precision, ...]
    output: Path
    data: Path  # parity is shown on its test subjects
    calibration: Path  # INT8 ranges come from its training subjects
    every: int = 1  # parity on every n-th frame
    free_batch: bool = False
    flip: bool = False  # the graph does the flip test itself: a window and its mirror, averaged
    stream: bool = False  # beside each graph its streaming form
    steady: bool = False  # INT8 rounds in two steps where the recipe says so
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the network, in place of what a published checkpoint tells


def lifts_sequences(output_frames: Sequence[int]) -> bool:
    """Say whether a few windows of a network that gives these frames are sample enough."""
    return len(output_frames) >= SEQUENCE


def sample_windows(network: LiftingNetwork) -> int:
    """Return on how many windows a graph is checked against the network, here and on a device.

    A window of a network that lifts sequences costs up to a minute of one core in all, and shows hundreds of poses.
    """
    return 2 if lifts_sequences(network.output_frames) else 16


def recipe_for(model: str, path: Path | None) -> Recipe:
    """Return the recipe of ``model``, or that at ``path``; raises ``PoseedgeError`` if it is for another network."""
    recipe = load_recipe(str(path) if path else model)
    if recipe.model != model:
        raise PoseedgeError(f"{path}: is a recipe for {recipe.model}, not {model}")
    return recipe


def precisions_for(target: Target, asked: Sequence[str] | None) -> tuple[Precision, ...]:
    """Return the precisions to export for ``target``: all that it takes, or those ``asked`` for.

    Raises ``PoseedgeError`` for one that is none, or that ``target`` does not take.
    """
    for wanted in asked or ():
        if wanted not in PRECISIONS:
            raise PoseedgeError(f"unknown --precision {wanted!r}", nearest(wanted, [*target.precisions]))
        if wanted not in target.precisions:
            raise PoseedgeError(target.refusal(wanted), "choose another --precision or --target")
    return tuple(name for name in target.precisions if not asked or name in asked)


def int8_as_asked(recipe: Recipe, precisions: Sequence[Precision], calibration: str | None, steady: bool) -> Recipe:
    """Return ``recipe`` with the ``calibration`` asked for; raises ``PoseedgeError`` if it, or ``steady``, changes nothing."""
    for option, given in (("--steady", steady), ("--calibration", calibration)):
        if given and not any(name.startswith("int8") for name in precisions):
            raise PoseedgeError(
                f"{option} is for INT8, and {', '.join(precisions)} is exported", "leave it out, or add --precision int8"
            )
    if steady and not recipe.int8.two_step:
        raise PoseedgeError(f"the recipe of {recipe.model} says int8.two_step = []", "name layers there, or leave --steady out")
    if calibration is None:
        return recipe
    if calibration not in METHODS:
        raise PoseedgeError(f"unknown --calibration {calibration!r}", nearest(calibration, [*METHODS]))
    return recipe.model_copy(update={"int8": recipe.int8.model_copy(update={"calibration": calibration})})


def weights_for(recipe: Recipe, checkpoint: Path | None) -> tuple[Path, bool]:
    """Return the checkpoint to export, and whether it is one of those that travel with poseedge."""
    if checkpoint is None and recipe.weights is None:
        raise PoseedgeError(f"no weights for {recipe.model} travel with poseedge", "give your own with --checkpoint model.pth")
    bundled = checkpoint is None or checkpoint.resolve().parent == resource("weights").resolve()
    return checkpoint or resource("weights", cast(str, recipe.weights)), bundled
