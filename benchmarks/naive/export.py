"""The published form of a network, and its naive export."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from pathlib import Path

import numpy as np
import onnx
import onnxsim
import torch
from torch import Tensor, nn

from benchmarks.naive import graphmlp, mhformer, mixste, motionbert, nanohtnet, strided_transformer
from poseedge.arrays import Float32Array
from poseedge.errors import PoseedgeError
from poseedge.graph.session import ort
from poseedge.models.network import LiftingNetwork
from poseedge.models.pruning import CenterPruning
from poseedge.models.strided_transformer import StridedTransformer
from poseedge.models.videopose3d import VideoPose3D
from poseedge.skeleton import NUM_JOINTS

OPSET = 17

# Which of our modules compute in another way than the published ones, by network; of one that is not here, none does.
FORMS: Mapping[str, Mapping[type[nn.Module], type[nn.Module]]] = {
    "nanohtnet": nanohtnet.FORMS,
    "htnet": nanohtnet.FORMS,  # the same blocks
    "graphmlp": graphmlp.FORMS,
    "strided_transformer": strided_transformer.FORMS,
    "mhformer": mhformer.FORMS,
    "tpc_mhformer": mhformer.FORMS,
    "mixste": mixste.FORMS,
    "hot_mixste": mixste.FORMS,
    "tpc_mixste": mixste.FORMS,
    "motionbert": motionbert.FORMS,
    "hot_motionbert": motionbert.FORMS,
}


def published_form(network: LiftingNetwork) -> LiftingNetwork:
    """Return a copy of ``network`` whose modules compute the same in the published way; parameters keep their keys."""
    forms, network = FORMS.get(network.name, {}), copy.deepcopy(network)
    for module in network.modules():
        if type(module) in forms:
            module.__class__ = forms[type(module)]
    return network


@singledispatch
def published_outputs(network: LiftingNetwork, x: Tensor) -> tuple[Tensor, ...]:
    """Return all that the published network gives for windows ``x``, poses first."""
    return (network(x),)


@published_outputs.register
def _(network: StridedTransformer, x: Tensor) -> tuple[Tensor, ...]:
    return network.forward_with_sequence(x)


@published_outputs.register
def _(network: VideoPose3D, x: Tensor) -> tuple[Tensor, ...]:
    return (network.lift(x),)  # strided: the dilated form would do fifteen times the work for one window


@published_outputs.register
def _(network: CenterPruning, x: Tensor) -> tuple[Tensor, ...]:
    tokens, index = network.kept(x, None)
    return network.regress(network.back(tokens, network.level)), index


def poses_of(network: LiftingNetwork, outputs: Sequence[Float32Array]) -> Float32Array:
    """Return the poses ``(1, K, 17, 3)`` that deployment wants among the published outputs of one window."""
    poses = outputs[0]
    if isinstance(network, CenterPruning):
        return poses[:, np.isin(outputs[1][0], network.output_frames)]
    if poses.shape[1] == len(network.output_frames):
        return poses
    return poses[:, list(network.output_frames)]


class Published(nn.Module):
    """What is exported."""

    def __init__(self, network: LiftingNetwork) -> None:
        super().__init__()
        self.network = published_form(network)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return published_outputs(self.network, x)


def export_naive(network: LiftingNetwork, path: Path) -> None:
    """Write the published form as ONNX: tracing exporter, opset 17, fixed batch of one, then onnxsim."""
    window = torch.zeros(1, network.frames, NUM_JOINTS, network.in_channels)
    module = Published(network).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own deprecation and traces Python sizes
        torch.onnx.export(module, (window,), str(path), opset_version=OPSET, dynamo=False, input_names=["keypoints"])
    simplified, equal = onnxsim.simplify(onnx.load(path))
    if not equal:
        raise PoseedgeError(f"{path}: onnxsim changed what the naive graph computes")
    onnx.save(simplified, path)


def naive_call(network: LiftingNetwork, path: Path, keypoints: Float32Array, threads: int) -> Callable[[], Float32Array]:
    """Return a callable for ``session.run`` with ONNX Runtime's defaults, apart from the number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: poses_of(network, session.run(None, {name: keypoints}))
