"""Networks and the parser that fills them, of the TensorRT stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from tests.doubles.binding import Bound, ILogger, tell
from tests.doubles.engine import Shape, shape_of
from tests.doubles.presence import max_opset

# Layer that each operator becomes, so far as it matters here; all others count as ElementWise.
OPERATORS = {
    "MatMul": "MATRIX_MULTIPLY",
    "ReduceMean": "REDUCE",
    "Softmax": "SOFTMAX",
    "LayerNormalization": "NORMALIZATION",
    "Cast": "CAST",
    "Constant": "CONSTANT",
    "Gather": "GATHER",
    "Identity": "IDENTITY",
    "Sqrt": "UNARY",
    "QuantizeLinear": "QUANTIZE",
    "DequantizeLinear": "DEQUANTIZE",
}
NATIVE = {"FLOAT16": "HALF"}  # by ONNX type; all others are called alike
LAYER_TYPES = ("ELEMENTWISE", "SHAPE", *OPERATORS.values())
# Sparsebit #16 has the words, of TensorRT 8.2.5; NVIDIA/TensorRT #2163 and #2604 the same for 8.4.
NEVER_READ = {"DynamicQuantizeLinear", "QLinearMatMul", "QLinearConv", "MatMulInteger", "ConvInteger"}


class NetworkDefinition(Bound):
    """What a parser filled."""

    def __init__(self, flags: int) -> None:
        kinds = self.trt.NetworkDefinitionCreationFlag
        explicit = 1 << int(kinds.EXPLICIT_BATCH) if hasattr(kinds, "EXPLICIT_BATCH") else 0
        strong = 1 << int(kinds.STRONGLY_TYPED) if hasattr(kinds, "STRONGLY_TYPED") else 0
        if flags & ~(explicit | strong):
            raise AssertionError(f"unknown network flags {flags:#x}")
        self._explicit_batch = bool(flags & explicit) or self.fake.release >= (10, 0)
        self._strong = bool(flags & strong) or self.fake.release >= (11, 0)
        self._model = b""
        self._inputs: list[Tensor] = []
        self._layers: list[Layer] = []

    @property
    def _quantized(self) -> bool:
        """Whether the graph holds Q/DQ; no member of the real thing."""
        return any(layer.type.name == "QUANTIZE" for layer in self._layers)

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_layer(self, index: int) -> Layer:
        return self._layers[index]

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> Tensor:
        return self._inputs[index]


class Tensor(Bound):
    """A network input, or what a layer gives."""

    def __init__(self, name: str, shape: Shape, kind: str) -> None:
        self._name, self._shape, self._kind = name, shape, kind

    @property
    def dtype(self) -> Any:
        kinds = self.trt.DataType
        return kinds[self._kind] if hasattr(kinds, self._kind) else kinds.INT32  # before 10.0 no INT64

    @property
    def name(self) -> str:
        return self._name

    @property
    def shape(self) -> Shape:
        return self._shape


class Layer(Bound):
    """What the parser made of a node, under the node's name."""

    def __init__(self, name: str, operator: str, outputs: list[Tensor]) -> None:
        kinds = self.trt.LayerType
        self._name, self._outputs, self._precision = name, outputs, None
        self._type = getattr(kinds, OPERATORS.get(operator, "ELEMENTWISE"), kinds.ELEMENTWISE)

    @property
    def name(self) -> str:
        return self._name

    @property
    def type(self) -> Any:
        return self._type

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_output(self, index: int) -> Tensor:
        return self._outputs[index]

    @property
    def precision(self) -> Any:
        return self._precision

    @precision.setter
    def precision(self, dtype: Any) -> None:
        self._precision = self.trt.DataType(dtype)

    def set_output_type(self, index: int, dtype: Any) -> None:
        assert dtype is self._precision
        assert self._outputs[index].dtype in (self.trt.float32, self.trt.float16), "an integer output cannot be made a float"


def described(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return type and shape of every tensor that a node gives, as far as they can be inferred."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    return [*graph.value_info, *graph.output]


class OnnxParser(Bound):
    """Reads ONNX as far as the version can."""

    def __init__(self, network: NetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[Any] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors.clear()

    def parse_from_file(self, model: str) -> bool:
        return self.parse(Path(model).read_bytes(), model)

    def parse(self, model: bytes, path: str | None = None) -> bool:
        try:
            parsed = onnx.load_from_string(model)
        except Exception:  # protobuf's DecodeError, which has no types
            return self._fail("Failed to parse ONNX model")
        opset, newest = parsed.opset_import[0].version, max_opset(self.fake.release)
        if not self._network._explicit_batch:
            return self._fail("This version of the ONNX parser only supports networks with an explicit batch dimension")
        if opset > newest:
            return self._fail(f"Opset {opset} is not supported, the newest is {newest}")
        for index, node in enumerate(parsed.graph.node):
            stored = {tensor.name for tensor in parsed.graph.initializer if tensor.data_type == onnx.TensorProto.INT8}
            reads = node.op_type == "DequantizeLinear" and node.input[0] in stored
            if reads and (self.fake.release < (8, 5) or not self.fake.stored_int8):
                return self._fail(f"{node.input[0]}: invalid weights type of Int8", index, node)
            if node.op_type in NEVER_READ or (node.op_type == "LayerNormalization" and self.fake.release < (8, 6)):
                return self._fail(f"No importer registered for op: {node.op_type}", index, node)
        self._network._model = model
        typed = {value.name: self._tensor(value) for value in described(parsed)}
        self._network._layers = [
            self.trt.ILayer(self._layer_name(index, node), node.op_type, [typed[name] for name in node.output if name in typed])
            for index, node in enumerate(parsed.graph.node)
        ]
        self._network._inputs = [self._tensor(value) for value in parsed.graph.input]
        return True

    def _layer_name(self, index: int, node: onnx.NodeProto) -> str:
        """Return the node's name; the importer of 8.6 registers none for a normalization (normalizationHelper, 8.6-GA)."""
        if node.op_type == "LayerNormalization" and self.fake.release == (8, 6):
            return f"(Unnamed Layer* {index}) [Normalization]"
        return node.name

    def _tensor(self, value: onnx.ValueInfoProto) -> Any:
        kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        return self.trt.ITensor(value.name, shape_of(value), NATIVE.get(kind, kind))

    def _fail(self, reason: str, index: int = -1, node: onnx.NodeProto | None = None) -> bool:
        self._errors.append(self.trt.ParserError(reason, index, node))
        tell(self._logger, reason)
        return False


class ParserError(Bound):
    """One reason why a graph cannot be read; before 10.0 its node is a number only."""

    def __init__(self, reason: str, index: int, node: onnx.NodeProto | None) -> None:
        self._reason, self._index, self._node = reason, index, node

    def desc(self) -> str:
        return self._reason

    def node(self) -> int:
        return self._index

    def node_name(self) -> str:
        return self._node.name if self._node else ""

    def node_operator(self) -> str:
        return self._node.op_type if self._node else ""
