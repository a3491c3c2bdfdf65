"""Networks with weights that are the same every time, their windows and their exported graphs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from poseedge.arrays import Float32Array
from poseedge.export.recipe import Recipe, load_recipe
from poseedge.fold import fold
from poseedge.graph.graph import Graph
from poseedge.graph.trace import simplify, trace
from poseedge.models import create
from poseedge.models.flops import meta_flops
from poseedge.models.network import LiftingNetwork
from poseedge.models.pruning import PrunedNetwork
from poseedge.models.registry import lifting_names, network_class
from poseedge.network_files import read_table
from poseedge.skeleton import NUM_JOINTS
from tests.golden import weights
from tests.support import golden

LIFTING = lifting_names()
AFFORDABLE_FLOPS = 6e9  # of one window; a larger reference network is run once, in test_golden.py


@cache
def reference_cases() -> dict[str, list[str]]:
    """Return, for every lifting network, its reference cases that are quick to run, smallest first.

    A network without any is its own case, at its small size.
    """
    cases: dict[str, list[tuple[int, str]]] = {name: [] for name in LIFTING}
    for case in golden.CASES:
        facts = golden.case(case)
        stored = golden.arrays(case)
        lifts = stored["output"].shape[-2:] == (NUM_JOINTS, 3) and len(stored["output"]) == len(stored["input"])
        if facts["model"] in cases and lifts:
            with torch.device("meta"):
                network = create(facts["model"], **facts["config"])
            assert isinstance(network, LiftingNetwork)
            if (flops := meta_flops(network)) <= AFFORDABLE_FLOPS:
                cases[facts["model"]].append((flops, case))
    return {name: [case for _, case in sorted(found)] or [f"small {name}"] for name, found in cases.items()}


def pruned_cases() -> list[str]:
    """Return every network that prunes frames, at its small size."""
    return [f"small {name}" for name in LIFTING if issubclass(network_class(name), PrunedNetwork)]


@cache
def lifting(name: str) -> LiftingNetwork:
    """Return the network of a golden case, or of that name at its small size."""
    if name not in golden.CASES:
        return small(name.removeprefix("small "))
    network = golden.network(name)
    assert isinstance(network, LiftingNetwork)
    return network


def small(name: str) -> LiftingNetwork:
    """Return the network of the size that its file calls small, with weights."""
    return drawn(name, **read_table(name, "small")["network"])


def small_recipe(name: str) -> Recipe:
    """Return the network's recipe with what a small one, of one block, can have: no layer kept, its first ones in two steps."""
    recipe = load_recipe(name)
    first = [pattern for pattern in recipe.int8.two_step if pattern == "*" or ".0." in pattern]
    return recipe.model_copy(update={"int8": recipe.int8.model_copy(update={"keep": [], "two_step": first})})


def drawn(name: str, **config: Any) -> LiftingNetwork:
    """Return a network without golden case, with weights drawn as the golden ones are."""
    network = create(name, **config)
    assert isinstance(network, LiftingNetwork)
    state = network.state_dict()
    first: dict[int, str] = {}  # keys that are one tensor get one
    keys = {key: first.setdefault(tensor.data_ptr(), key) for key, tensor in state.items()}
    network.load_state_dict(
        {key: torch.from_numpy(weights.tensor(keys[key], tuple(tensor.shape))) for key, tensor in state.items()}
    )
    return network


def windows(network: LiftingNetwork, batch: int) -> torch.Tensor:
    """Return ``(batch, frames, 17, C)`` random keypoints."""
    return torch.from_numpy(weights.pose_input((batch, network.frames, NUM_JOINTS, network.in_channels)))


def lifted(network: LiftingNetwork, keypoints: torch.Tensor) -> Float32Array:
    """Return what the plain network makes of windows."""
    with torch.inference_mode():
        return network.lift(keypoints).numpy()


def exported(name: str, opset: int, free_batch: bool = False) -> Graph:
    """Return the graph of the folded network as a bundle would hold it; do not change it."""
    return _exported(name, opset, free_batch)


@cache
def _exported(name: str, opset: int, free_batch: bool) -> Graph:
    network = lifting(name)
    graph, note = simplify(trace(fold(network, free_batch), network.frames, network.in_channels, opset, free_batch))
    assert not note
    return graph


def assert_folded_equals_plain(network: LiftingNetwork, keypoints: torch.Tensor) -> None:
    """On one window, and with a free batch on one and on all at once; outputs have a deviation of about one."""
    wanted = lifted(network, keypoints)
    with torch.inference_mode():
        first = fold(network)(keypoints[:1]).numpy()
        free = fold(network, free_batch=True)
        alone, together = free(keypoints[:1]).numpy(), free(keypoints).numpy()
    for found in (first, alone, together):
        np.testing.assert_allclose(found, wanted[: len(found)], rtol=0, atol=1e-5)
