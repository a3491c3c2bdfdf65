"""The floor under a graph: its weight products alone, on the same shapes, with weights of their own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import Float32Array
from poseedge.bench.latency import Candidate
from poseedge.graph.flops import Product, products
from poseedge.graph.graph import Graph
from poseedge.graph.session import ort


def write_floor(graph: Path, path: Path) -> None:
    """Write the floor of the float32 ONNX file ``graph`` to ``path``.

    Each product stands alone: random weights, an input shared by all products that take its shape, and an output of
    its own, which keeps the runtime from removing it. A bias is left out.
    """
    exact = Graph.load(graph)
    kept = [product for product in products(exact) if product.has_weight]
    random = np.random.default_rng(0)
    inputs: dict[str, onnx.ValueInfoProto] = {}
    outputs, nodes, weights = [], [], []
    for index, product in enumerate(kept):
        names = []
        for shape, constant in zip(product.shapes[:2], product.constant[:2], strict=True):
            names.append(f"w{index}" if constant else "x" + "x".join(map(str, shape)))
            if constant:
                weights.append(numpy_helper.from_array(random.standard_normal(shape, dtype=np.float32), names[-1]))
            else:
                inputs[names[-1]] = helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, shape)
        nodes.append(bare_node(product, names, f"y{index}"))
        outputs.append(helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, product.output_shape))
    floor = helper.make_graph(nodes, "floor", list(inputs.values()), outputs, weights)
    opsets = [opset for opset in exact.proto.opset_import if opset.domain in ("", "ai.onnx")]
    onnx.save(helper.make_model(floor, opset_imports=opsets, ir_version=exact.proto.ir_version), path)


def floor_call(path: Path, threads: int) -> Candidate:
    """Return a callable that runs the floor graph once on buffers that are bound before."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    random, binding = np.random.default_rng(0), session.io_binding()
    buffers = []
    for bind, values in ((binding.bind_input, session.get_inputs()), (binding.bind_output, session.get_outputs())):
        for value in values:
            buffer = random.standard_normal(value.shape, dtype=np.float32)
            bind(value.name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
            buffers.append(buffer)
    return partial(run_bound, session, binding, buffers)


def run_bound(session: ort.InferenceSession, binding: ort.IOBinding, buffers: list[Float32Array]) -> None:
    """Run once; the binding points into ``buffers``, which live as long as the call can be made."""
    session.run_with_iobinding(binding)


def bare_node(product: Product, inputs: list[str], output: str) -> onnx.NodeProto:
    """Return the product's node on other tensors, without bias."""
    node = onnx.NodeProto()
    node.CopyFrom(product.node)
    node.name = output
    del node.input[:], node.output[:]
    node.input.extend(inputs)
    node.output.append(output)
    return node
