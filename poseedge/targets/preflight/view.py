"""A graph as the rules look at it: who makes a tensor, who reads it, its type, its shape, its value if it is constant."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray, Float64Array
from poseedge.graph.graph import Shape, constant_names, consumers, known_shapes, opset_of, single_window
from poseedge.graph.metadata import GraphMetadata

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


class View:
    """What the rules need to know of one graph; shapes are those for a single window."""

    def __init__(self, model: onnx.ModelProto, outside: tuple[str, ...] = ()) -> None:
        self.model = model
        self.outside = outside  # weights that came from another file
        self.nodes = list(model.graph.node)
        self.opset = opset_of(model)

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """For each tensor, the node that makes it."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """For each tensor, the nodes that read it."""
        return consumers(self.model)

    @cached_property
    def stored(self) -> dict[str, TensorProto]:
        """The tensors that the file holds: initializers and Constant nodes."""
        constants = [node for node in self.nodes if node.op_type == "Constant" and node.attribute[0].name == "value"]
        return {t.name: t for t in self.model.graph.initializer} | {n.output[0]: n.attribute[0].t for n in constants}

    @cached_property
    def constant(self) -> set[str]:
        """Tensors that do not depend on the input."""
        return constant_names(self.model.graph)

    @cached_property
    def outputs(self) -> set[str]:
        """The graph's outputs."""
        return {value.name for value in self.model.graph.output}

    @cached_property
    def _inferred(self) -> onnx.GraphProto:
        try:
            return onnx.shape_inference.infer_shapes(single_window(self.model), data_prop=True).graph
        except onnx.shape_inference.InferenceError:  # the graph contradicts itself; the rule `valid` says so
            return self.model.graph

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shapes that can be inferred."""
        return {name: tuple(tensor.dims) for name, tensor in self.stored.items()} | known_shapes(self._inferred)

    @cached_property
    def types(self) -> dict[str, int]:
        """The element types that are known."""
        graph = self._inferred
        values = (*graph.input, *graph.value_info, *graph.output)
        kinds = {value.name: value.type.tensor_type.elem_type for value in values if value.type.tensor_type.elem_type}
        return kinds | {name: tensor.data_type for name, tensor in self.stored.items()}

    @cached_property
    def metadata(self) -> GraphMetadata | None:
        """What the graph says of itself, if it is one of ours."""
        return GraphMetadata.from_props({prop.key: prop.value for prop in self.model.metadata_props})

    @cached_property
    def quantized(self) -> bool:
        """Whether the graph holds Q/DQ."""
        return any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in self.nodes)

    @cached_property
    def half(self) -> bool:
        """Whether any tensor is in half precision."""
        return TensorProto.FLOAT16 in self.types.values()

    @cached_property
    def precision(self) -> str:
        """The precision that the graph's types amount to."""
        named = {(False, False): "fp32", (False, True): "fp16", (True, False): "int8", (True, True): "int8-fp16"}
        return named[self.quantized, self.half]

    def value(self, name: str) -> AnyArray | None:
        """Return a stored tensor's value, or None."""
        return numpy_helper.to_array(self.stored[name]) if name in self.stored else None

    def of(self, *kinds: str) -> Iterator[onnx.NodeProto]:
        """Yield the nodes of these operators."""
        return (node for node in self.nodes if node.op_type in kinds and node.domain in ("", "ai.onnx"))

    def maker(self, name: str, kind: str) -> onnx.NodeProto | None:
        """Return the node that makes ``name`` if it is of ``kind``."""
        node = self.makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def dequantizer(self, name: str) -> onnx.NodeProto | None:
        """Return the DequantizeLinear that ``name`` comes from, through nothing but changes of layout and type; or None."""
        node = self.makers.get(name)
        while node is not None and node.op_type in ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Cast"):
            node = self.makers.get(node.input[0])
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    def products(self) -> Iterator[tuple[onnx.NodeProto, list[str]]]:
        """Yield every matrix product and convolution with the names of its two operands."""
        for node in self.of("MatMul", "Gemm", "Conv"):
            yield node, list(node.input[:2])

    def kept_by_products(self, name: str) -> Iterator[tuple[onnx.NodeProto, int]]:
        """Yield the products that read ``name``, and as which operand."""
        for node in self.readers[name]:
            if node.op_type in ("MatMul", "Gemm", "Conv") and name in node.input[:2]:
                yield node, list(node.input).index(name)


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return an attribute's value, text as ``str``."""
    for item in node.attribute:
        if item.name == name:
            value = helper.get_attribute_value(item)
            return value.decode() if isinstance(value, bytes) else value
    return default


def label(node: onnx.NodeProto) -> str:
    """Return what a person finds the node by."""
    return node.name or (node.output[0] if node.output else node.op_type)


def type_name(kind: int) -> str:
    """Return ``float16`` for 10."""
    return TensorProto.DataType.Name(kind).lower()


def numbers(array: AnyArray | None) -> Float64Array | None:
    """Return ``array`` as float64, or None."""
    return None if array is None else np.asarray(array, np.float64)
