"""The floor under a graph: its products alone, weights' and attention's, on the same shapes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import Float32Array
from poseedge.backends.openvino import DEVICE, import_openvino, settings
from poseedge.bench.latency import Candidate
from poseedge.graph.flops import Product, products
from poseedge.graph.graph import Graph, Shape
from poseedge.graph.session import ort

OPERANDS = {"Attention": 3}  # queries, keys, values; other products have two


def write_floor(graph: Path, path: Path) -> None:
    """Write the floor of the float32 ONNX file ``graph`` to ``path``.

    Each product stands alone, with random weights, and with inputs and an output of its own: a runtime can neither join two
    products nor leave one out. A bias is left out.
    """
    exact = Graph.load(graph)
    random = np.random.default_rng(0)
    inputs, outputs, nodes, weights = [], [], [], []
    for index, product in enumerate(products(exact)):
        names, operands = [], OPERANDS.get(product.node.op_type, 2)
        for place, (shape, constant) in enumerate(zip(product.shapes[:operands], product.constant[:operands], strict=True)):
            names.append(f"{'w' if constant else 'x'}{index}_{place}")
            if constant:
                weights.append(numpy_helper.from_array(random.standard_normal(shape, dtype=np.float32), names[-1]))
            else:
                inputs.append(helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, shape))
        nodes.append(bare_node(product, names, f"y{index}"))
        outputs.append(helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, product.output_shape))
    floor = helper.make_graph(nodes, "floor", inputs, outputs, weights)
    opsets = [opset for opset in exact.proto.opset_import if opset.domain in ("", "ai.onnx")]
    onnx.save(helper.make_model(floor, opset_imports=opsets, ir_version=exact.proto.ir_version), path)


class Buffers:
    """Memory of a shape, shared by all tensors that have it, as a runtime's own memory is."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.by_shape: dict[Shape, Float32Array] = {}

    def of(self, sizes: Sequence[int]) -> Float32Array:
        """Return the memory of a shape."""
        if (shape := tuple(sizes)) not in self.by_shape:
            self.by_shape[shape] = self.random.standard_normal(shape, dtype=np.float32)
        return self.by_shape[shape]


def floor_call(path: Path, threads: int) -> Candidate:
    """Return a callable that runs the floor graph once on ONNX Runtime, on buffers that are bound before."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    read, written, binding = Buffers(), Buffers(), session.io_binding()
    for bind, buffers, values in (
        (binding.bind_input, read, session.get_inputs()),
        (binding.bind_output, written, session.get_outputs()),
    ):
        for value in values:
            buffer = buffers.of(value.shape)
            bind(value.name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
    return partial(run_bound, session, binding, (read, written))


def openvino_floor_call(path: Path, threads: int) -> Candidate:
    """Return a callable that runs the floor graph once on OpenVINO, likewise."""
    openvino = import_openvino()
    core = openvino.Core()
    network = core.compile_model(core.read_model(path), DEVICE, settings(threads))
    read, written, request = Buffers(), Buffers(), network.create_infer_request()
    for buffers, ports in ((read, network.inputs), (written, network.outputs)):
        for port in ports:
            request.set_tensor(port, openvino.Tensor(buffers.of(list(port.shape)), shared_memory=True))
    return partial(run_request, request, (read, written))


def run_bound(session: ort.InferenceSession, binding: ort.IOBinding, buffers: tuple[Buffers, ...]) -> None:
    """Run once; the binding points into ``buffers``, which live as long as the call can be made."""
    session.run_with_iobinding(binding)


def run_request(request: Any, buffers: tuple[Buffers, ...]) -> None:
    """Run once; the request points into ``buffers``, which live as long as the call can be made."""
    request.infer()


def bare_node(product: Product, inputs: list[str], output: str) -> onnx.NodeProto:
    """Return the product's node on other tensors, without bias."""
    node = onnx.NodeProto()
    node.CopyFrom(product.node)
    node.name = output
    del node.input[:], node.output[:]
    node.input.extend(inputs)
    node.output.append(output)
    return node
