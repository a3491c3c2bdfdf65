"""Training in INT8 rounds what deployment rounds, and brings the INT8 poses nearer to those of the float network."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from poseedge.arrays import Float32Array
from poseedge.errors import PoseedgeError
from poseedge.export.recipe import Int8
from poseedge.graph.graph import Graph
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from poseedge.models.network import LiftingNetwork
from poseedge.training import recipe as recipes
from poseedge.training.loop import Training
from poseedge.training.objective import Objective
from poseedge.training.qat import QuantizedObjective, quantized_layers
from tests.support import golden, training
from tests.support.graphs import simplified, windows

pytestmark = pytest.mark.slow


@cache
def objective() -> QuantizedObjective:
    network = golden.network("nanohtnet-small")
    assert isinstance(network, LiftingNetwork)
    return QuantizedObjective(network, Int8())


def in_training(layers: list[str]) -> Float32Array:
    """Return the reference windows' poses, these layers rounded as training rounds them."""
    keep = [name for name in objective().layers if name not in layers]
    every, objective().layers = objective().layers, quantized_layers(objective().network, keep)
    with torch.no_grad():
        poses: Float32Array = objective().quantized()(torch.from_numpy(windows())).numpy()
    objective().layers = every
    return poses


def deployed(layers: list[str]) -> Float32Array:
    """Return the poses of the INT8 graph in which only these layers are quantized, calibrated on the windows themselves."""
    graph = simplified(17)[0]
    placement = place(graph, [name for name in place(graph).layers if name not in layers])
    return lifted(quantize(graph, placement, calibrate(graph, placement, windows(), migrate=Int8().migrate)))


def lifted(graph: Graph) -> Float32Array:
    evaluate = graph.evaluator()
    return np.concatenate([evaluate(window[None])[0] for window in windows()])


def apart_mm(one: Float32Array, other: Float32Array) -> float:
    return 1000 * float(np.linalg.norm(one - other, axis=-1).mean())


def trained(folder: Path, steps: int = 60) -> tuple[QuantizedObjective, list[float]]:
    """Train a small network on eight windows; return it, and its distance from float before and after."""
    distances: list[float] = []
    torch.manual_seed(3)
    objective = QuantizedObjective(training.network(), Int8())

    def evaluate(kept: Objective) -> dict[str, float]:
        assert isinstance(kept, QuantizedObjective)
        distances.append(kept.distance_mm(source.batch.keypoints.numpy(), 8))
        return {"int8_mm": distances[-1]}

    source = training.FewWindows()
    recipe = recipes.load_training_recipe(
        "nanohtnet", settings=["batch=8", f"steps={steps}", "schedule.warmup=5", "evaluate_every=1000"], qat=True
    )
    evaluate(objective)
    Training(Fabric(accelerator="cpu", devices=1), objective, source, recipe, folder, evaluate).run()
    return objective, distances


def test_every_layer_is_rounded_as_its_int8_graph_rounds_it() -> None:
    graph = simplified(17)[0]
    layers, unrounded = list(place(graph).layers), lifted(graph)
    assert len(layers) > 10
    for chosen in [*([layer] for layer in layers), *layers_of_one_norm()]:
        found = deployed(chosen)
        moved = apart_mm(unrounded, found)
        assert apart_mm(in_training(chosen), found) < 0.25 * moved, chosen  # a value between two steps may fall to either side


def layers_of_one_norm() -> list[list[str]]:
    """Return the layers that a norm centres together, of norms that more than one reads."""
    norms: dict[str, list[str]] = {}
    for layer, (_, behind) in objective().layers.items():
        if behind is not None:
            norms.setdefault(behind.tensors[0], []).append(layer)
    return [layers for layers in norms.values() if len(layers) > 1]


def test_both_limb_mlps_are_centred_by_their_norm() -> None:
    assert ["spatial.0.ipc.fc1_3", "spatial.0.ipc.fc1_2"] in layers_of_one_norm()


def test_the_layers_are_those_that_deployment_quantizes() -> None:
    placement = place(simplified(17)[0])
    assert {name: centring for name, (centring, _) in objective().layers.items()} == {
        name: placement.tensors[node.input[0]][1] for name, node in placement.layers.items()
    }


def test_training_lowers_the_distance_of_int8_from_the_float_network(tmp_path: Path) -> None:
    _, (before, after) = trained(tmp_path)
    assert after < 0.95 * before


def test_what_is_imitated_stays_and_what_is_kept_is_the_published_network(tmp_path: Path) -> None:
    objective, _ = trained(tmp_path, steps=2)
    assert training.same(dict(objective.teacher.state_dict()), dict(training.network().state_dict()))
    assert not training.same(training.weights(objective), dict(training.network().state_dict()))
    assert training.weights(objective).keys() == training.network().state_dict().keys()
    assert not objective.network.training


def test_network_none_of_whose_layers_takes_int8_is_refused() -> None:
    with pytest.raises(PoseedgeError, match="no layer of nanohtnet takes INT8"):
        QuantizedObjective(training.network(), Int8(keep=["*"]))
