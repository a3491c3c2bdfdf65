"""What an artefact is known to score, so that a score far from it can be doubted."""

from __future__ import annotations

from pathlib import Path

from poseedge.bundle.reading import Bundle
from poseedge.data.types import PoseDataset
from poseedge.evaluation.plausible import Known
from poseedge.export.recipe import Recipe, load_recipe
from poseedge.lifter import Lifter
from poseedge.network_files import network_files
from poseedge.resources import SAMPLE_DATA, resource


def known_error(lifter: Lifter, dataset: PoseDataset, bundle: Bundle | None = None) -> Known | None:
    """Return what the manifest of the ``bundle`` behind it, or a recipe, states of ``lifter`` on this data, if either does."""
    if bundle is not None:
        return error_in_manifest(lifter, dataset, bundle)
    return error_in_recipe(load_recipe(lifter.spec.model), lifter.path, dataset) if lifter.spec.model in network_files() else None


def error_in_manifest(lifter: Lifter, dataset: PoseDataset, bundle: Bundle) -> Known | None:
    """Return the error of the export's proof, if that was on the test subjects of this data set."""
    proved = bundle.manifest.dataset
    if (proved.name, proved.keypoints) != (dataset.name, dataset.keypoints) or not is_test(dataset):
        return None
    if lifter.backend == "torch":
        return Known(bundle.manifest.reference.mpjpe_mm, "the bundle's manifest")
    held = bundle.manifest.parity.items()
    return next((Known(row.mpjpe_mm, "the bundle's manifest") for name, row in held if name == lifter.spec.precision), None)


def error_in_recipe(recipe: Recipe, checkpoint: Path, dataset: PoseDataset) -> Known | None:
    """Return the error of the weights that travel with poseedge, which the recipe states on the bundled sample."""
    if recipe.weights is None or recipe.weights_mpjpe_mm is None or not is_test(dataset):
        return None
    shipped, sample = resource("weights", recipe.weights), resource(*SAMPLE_DATA).name
    if checkpoint.resolve() != shipped.resolve() or (dataset.name, dataset.keypoints) != (sample, "gt"):
        return None
    return Known(recipe.weights_mpjpe_mm, f"the recipe of {recipe.model}")


def is_test(dataset: PoseDataset) -> bool:
    """Say whether ``dataset`` holds its test subjects, all of them and no others."""
    return {sequence.subject for sequence in dataset.sequences} == set(dataset.test)
