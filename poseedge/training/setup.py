"""From a recipe and a data set folder to all that a training runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from poseedge.data.h36m import available_keypoints, load_dataset
from poseedge.data.types import PoseDataset
from poseedge.errors import DataError, PoseedgeError
from poseedge.export.recipe import load_recipe
from poseedge.lifter import USUAL_FPS
from poseedge.models import create, load_checkpoint
from poseedge.models.network import LiftingNetwork
from poseedge.models.refine import RefineNetwork
from poseedge.models.registry import network_class
from poseedge.training.batch import WindowSource
from poseedge.training.live_windows import LiveSampler
from poseedge.training.objective import LiftingObjective, Objective, RefiningObjective
from poseedge.training.qat import QuantizedObjective
from poseedge.training.recipe import TrainingRecipe
from poseedge.training.recorded import RecordedWindows
from poseedge.training.views import Augmentation, ViewSampler


@dataclass(frozen=True)
class TrainingSetup:
    """What is trained, on which windows, and what it is tested on."""

    objective: Objective
    source: WindowSource
    recipe: TrainingRecipe  # of this stage, with the network's whole configuration
    dataset: PoseDataset  # with ground-truth keypoints
    test: list[PoseDataset]  # the first decides what is best
    live: LiveSampler | None  # whose windows decide instead
    known_fps: float  # at which the network, or its published kind, knows motion
    notes: list[str]  # what was done otherwise than the recipe says


def set_up(
    recipe: TrainingRecipe,
    folder: Path,
    detected: str | None = None,
    init: Path | None = None,
    refine: bool = False,
    qat: bool = False,
    device: torch.device | str = "cpu",
) -> TrainingSetup:
    """Read the data set in ``folder`` and make the network, from ``init`` if given.

    ``detected`` chooses between several kinds of detected keypoints; ``refine`` asks for the second stage, ``qat`` for a fit to
    INT8. Live windows are drawn on ``device``. Raises ``PoseedgeError`` for what does not go together.
    """
    clean, noisy = read_data(folder, detected, recipe)
    notes = []
    if noisy is None and recipe.data.keypoints == "detected":
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"keypoints": "gt"})})
        notes.append(f"{folder} holds no detected 2D keypoints: training on the true ones (poseedge data keypoints adds yours)")
    network, recipe = make_network(recipe, init)
    known_fps, network.fps = network.fps or USUAL_FPS, clean.fps
    objective, recipe = make_objective(network, recipe, init, refine, qat)
    judges = judges_of(recipe, clean)
    test = [dataset.of(judges) for dataset in (clean, noisy) if dataset is not None]
    if recipe.data.keypoints == "detected" or recipe.data.source != "recorded":
        test.reverse()  # what is trained on decides what is best
    taught = [s for s in clean.train if s not in recipe.data.validate_on]
    source = make_source(network, recipe, clean, noisy, taught, device)
    live = make_source(network, recipe, clean, noisy, judges, device)
    judged_live = live if isinstance(live, LiveSampler) else None
    return TrainingSetup(objective, source, recipe, clean, test, judged_live, known_fps, notes)


def judges_of(recipe: TrainingRecipe, dataset: PoseDataset) -> Sequence[str]:
    """Return the subjects that decide what is best; raises ``DataError`` if the recipe names one that ``dataset`` lacks."""
    held = dict.fromkeys(sequence.subject for sequence in dataset.sequences)
    if missing := [subject for subject in recipe.data.validate_on if subject not in held]:
        hint = f"""it holds {", ".join(held)}; choose of them, such as --set 'data.validate_on=["{dataset.train[-1]}"]'"""
        raise DataError(f"{dataset.name}: no subject {', '.join(missing)}, which the recipe keeps out to judge by", hint)
    return recipe.data.validate_on or dataset.test


def read_data(folder: Path, detected: str | None, recipe: TrainingRecipe) -> tuple[PoseDataset, PoseDataset | None]:
    """Return the data set with ground-truth and with detected keypoints, the latter None where there are none."""
    clean = load_dataset(folder, "gt")
    others = [kind for kind in available_keypoints(folder) if kind != "gt"]
    if detected is None and len(others) > 1:
        raise DataError(f"{folder}: holds several kinds of detected keypoints", f"choose with --detected: {', '.join(others)}")
    if detected is None and not others and recipe.data.source != "recorded":
        hint = "add a detector's: poseedge data keypoints; or train on recorded windows, without --config"
        raise DataError(f"{folder}: holds no detected 2D keypoints, whose errors {recipe.data.source} windows are given", hint)
    for role, subjects in (("train", clean.train), ("test", clean.test)):
        if not subjects:
            raise DataError(f"{folder}: no {role} subjects", "its cameras_<name>.json names them; docs/data.md")
    kind = detected or (others[0] if others else None)
    return clean, load_dataset(folder, kind) if kind else None


def make_network(recipe: TrainingRecipe, init: Path | None) -> tuple[LiftingNetwork, TrainingRecipe]:
    """Return the network to train, from ``init`` if given, and the recipe with its whole configuration."""
    untold = {key: recipe.network[key] for key in network_class(recipe.model).assumed if key in recipe.network}
    network = create(recipe.model, **recipe.network) if init is None else load_checkpoint(init, recipe.model, untold)
    if not isinstance(network, LiftingNetwork):
        raise PoseedgeError(f"{recipe.model} lifts no windows", "refine modules are trained by --refine")
    for key, value in recipe.network.items():
        if network.config.get(key) != value:
            raise PoseedgeError(f"{init}: has {key}={network.config.get(key)}, not {value}", f"leave out network.{key}")
    return network, recipe.model_copy(update={"network": network.config})


def make_objective(
    network: LiftingNetwork, recipe: TrainingRecipe, init: Path | None, refine: bool, qat: bool
) -> tuple[Objective, TrainingRecipe]:
    """Return what is trained, and the recipe of this stage."""
    if qat:
        return QuantizedObjective(network, load_recipe(network.name).int8), recipe
    if not refine:
        return LiftingObjective(network), recipe
    recipe = recipe.second_stage()
    if init is None or recipe.refine is None:
        raise PoseedgeError("--refine goes on with a trained network", "give its checkpoint with --init runs/.../best.pth")
    module = create(recipe.refine.module)
    assert isinstance(module, RefineNetwork)
    return RefiningObjective(network, module), recipe


def make_source(
    network: LiftingNetwork,
    recipe: TrainingRecipe,
    clean: PoseDataset,
    noisy: PoseDataset | None,
    subjects: Sequence[str],
    device: torch.device | str = "cpu",
) -> WindowSource:
    """Return the training windows of ``subjects``."""
    known, facts = network.supervised_frames, recipe.data
    detected = noisy if noisy is not None else clean
    if facts.source == "live":
        return LiveSampler(clean.of(subjects), detected.of(subjects), network.frames, known, device=device)
    if facts.source == "views":
        return ViewSampler(clean.of(subjects), detected.of(subjects), network.frames, known, Augmentation())
    chosen = detected if facts.keypoints == "detected" else clean
    return RecordedWindows(chosen.of(subjects), network.frames, known, facts.cut, facts.stride, facts.mirror)


def check_qat(qat: bool, init: Path | None, other: bool, precision: str) -> None:
    """Raise ``PoseedgeError`` for what does not go with ``--qat``."""
    if qat and init is None:
        raise PoseedgeError("--qat goes on with a trained network", "give its checkpoint with --init runs/.../best.pth")
    if qat and other:
        raise PoseedgeError("--qat goes with neither --refine nor --compile", "leave them out")
    if qat and precision != "32-true":
        raise PoseedgeError(f"--qat needs --precision 32-true, not {precision}", "INT8's rounding would drown in that of 16 bits")
