"""``Graph``: an ONNX model with its indexes, and the edits that passes make on it."""

from __future__ import annotations

import math
from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableSequence
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from poseedge.arrays import AnyArray, Float32Array
from poseedge.errors import ArtefactError
from poseedge.files import atomic_write
from poseedge.graph.metadata import GraphMetadata
from poseedge.graph.nodes import QUANTIZED, STANDARD, casts_to, tensors_read, unique
from poseedge.graph.session import open_session, session_options
from poseedge.lifter import Precision

Shape = tuple[int, ...]
Evaluator = Callable[[Float32Array], list[AnyArray]]

_LARGE = 1024  # elements: what holds more is no shape, and shape inference does without its values
_FOLLOWING = ("layers", "constant", "_inferred", "shapes", "types")  # what is computed from the whole graph


class Graph:
    """An ONNX model, indexed once: who makes a tensor, who reads it, its value, its shape, its type.

    ``proto`` may be read; it is changed through the methods alone, which keep the indexes true.
    """

    def __init__(self, model: onnx.ModelProto, external: tuple[str, ...] = (), path: Path | None = None) -> None:
        """``external`` names weights that came from another file; ``path`` is where the graph was read from."""
        self.proto = model
        self.external = external
        self.path = path
        self.makers: dict[str, NodeProto] = {}  # by tensor, the node that makes it
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)  # by tensor, the nodes that read it, bodies of If included
        self.stored: dict[str, TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}  # Constants too
        for node in model.graph.node:
            self._index(node)

    @classmethod
    def load(cls, path: Path) -> Graph:
        """Read an ONNX file, with the weights that lie in files beside it; raises ``ArtefactError`` for anything else."""
        if not path.is_file() or path.suffix != ".onnx":
            raise ArtefactError(f"{path}: no ONNX file", "name .onnx files, such as those of a bundle")
        try:
            model = onnx.load(path, load_external_data=False)
            external = tuple(tensor.name for tensor in model.graph.initializer if uses_external_data(tensor))
            load_external_data_for_model(model, str(path.parent))
        except Exception as error:  # protobuf and ONNX raise types of their own
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            hint = "is it truncated, or is the file with its weights missing beside it? export or copy it again"
            raise ArtefactError(f"{path}: not a readable ONNX file ({reason})", hint) from error
        if not model.graph.node:
            raise ArtefactError(f"{path}: not an ONNX graph, it holds no node", "name a .onnx file or a bundle")
        return cls(model, external, path)

    def save(self, path: Path, metadata: GraphMetadata) -> None:
        """Check the graph, put ``metadata`` in, and write it as one file with its weights inside."""
        del self.proto.metadata_props[:]
        helper.set_model_props(self.proto, metadata.to_props())
        self.proto.producer_name, self.proto.producer_version = "poseedge", metadata.version
        onnx.checker.check_model(self.proto, full_check=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(self.proto.SerializeToString(deterministic=True))

    def copy(self) -> Graph:
        """Return a graph of its own."""
        model = onnx.ModelProto()
        model.CopyFrom(self.proto)
        return Graph(model, self.external, self.path)

    # What it holds

    @property
    def nodes(self) -> MutableSequence[NodeProto]:
        """The nodes, in an order in which they can be computed; for reading."""
        return self.proto.graph.node

    @property
    def name(self) -> str:
        """What errors call it: the file that it was read from."""
        return str(self.path or "the graph")

    @property
    def inputs(self) -> list[str]:
        """The tensors that the graph is given; old files name their weights among them."""
        return [value.name for value in self.proto.graph.input if value.name not in self.stored]

    @property
    def outputs(self) -> list[str]:
        """The tensors that the graph gives."""
        return [value.name for value in self.proto.graph.output]

    @property
    def opset(self) -> int:
        """The version of the standard operator set."""
        return next(int(entry.version) for entry in self.proto.opset_import if entry.domain in STANDARD)

    @property
    def metadata(self) -> GraphMetadata | None:
        """What the graph says of itself, if it is one of ours."""
        return GraphMetadata.from_props({entry.key: entry.value for entry in self.proto.metadata_props}, self.path or "graph")

    def value(self, name: str) -> AnyArray | None:
        """Return a stored tensor's value, or None."""
        return numpy_helper.to_array(self.stored[name]) if name in self.stored else None

    def of(self, *kinds: str) -> Iterator[NodeProto]:
        """Yield the nodes of these standard operators."""
        return (node for node in self.nodes if node.op_type in kinds and node.domain in STANDARD)

    def maker(self, name: str, *kinds: str) -> NodeProto | None:
        """Return the node that makes ``name`` if it is one of these operators."""
        node = self.makers.get(name)
        return node if node is not None and node.op_type in kinds else None

    def reader(self, name: str, *kinds: str) -> NodeProto | None:
        """Return the node that reads ``name`` if it alone does and is one of these operators."""
        found = self.readers[name]
        return found[0] if len(found) == 1 and found[0].op_type in kinds else None

    # What follows from it

    @cached_property
    def layers(self) -> dict[str, NodeProto]:
        """The Linear layers by name: MatMul and Gemm whose second input is a matrix that the file holds as an initializer.

        The layer's name is its weight's without ``.weight``, such as ``spatial.0.mlp.fc1``.
        """
        matrices = {tensor.name for tensor in self.proto.graph.initializer if len(tensor.dims) == 2}
        found: dict[str, NodeProto] = {}
        for node in self.of("MatMul", "Gemm"):
            if node.input[1] in matrices:
                found[unique(node.input[1].removesuffix(".weight"), found)] = node  # two layers may share one weight
        return found

    @cached_property
    def constant(self) -> set[str]:
        """The tensors that do not depend on the graph's input: weights, and what is computed from them alone."""
        names = {tensor.name for tensor in self.proto.graph.initializer}
        for node in self.nodes:
            if all(name in names for name in tensors_read(node)):
                names.update(node.output)
        return names

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shapes that are known without running the graph, for one window where the batch is free."""
        shapes = {name: tuple(tensor.dims) for name, tensor in self.stored.items()}
        for value in (*self._inferred.input, *self._inferred.value_info, *self._inferred.output):
            kind = value.type.tensor_type
            if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
                shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
        return shapes

    @cached_property
    def types(self) -> dict[str, int]:
        """The element types that are known."""
        values = (*self._inferred.input, *self._inferred.value_info, *self._inferred.output)
        kinds = {value.name: value.type.tensor_type.elem_type for value in values if value.type.tensor_type.elem_type}
        return kinds | {name: tensor.data_type for name, tensor in self.stored.items()}

    @property
    def quantized(self) -> bool:
        """Whether it holds Q/DQ or integer products."""
        return any(node.op_type.startswith(QUANTIZED) for node in self.nodes)

    @property
    def half(self) -> bool:
        """Whether any tensor is in half precision: one that is stored, stated, or cast to."""
        graph = self.proto.graph
        stated = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
        kinds = stated | {tensor.data_type for tensor in self.stored.values()}
        return TensorProto.FLOAT16 in kinds or any(casts_to(node, TensorProto.FLOAT16) for node in self.nodes)

    @property
    def precision(self) -> Precision:
        """The precision that the graph's types amount to."""
        if self.quantized:
            return "int8-fp16" if self.half else "int8"
        return "fp16" if self.half else "fp32"

    @cached_property
    def _inferred(self) -> onnx.GraphProto:
        outline = self._outline()
        set_single_window(outline.graph)
        return self._with_inferred_shapes(outline)

    def _with_inferred_shapes(self, outline: onnx.ModelProto) -> onnx.GraphProto:
        try:
            return onnx.shape_inference.infer_shapes(outline, data_prop=True).graph
        except onnx.shape_inference.InferenceError:  # the graph contradicts itself, as the preflight rule `valid` says
            return self.proto.graph

    def _outline(self) -> onnx.ModelProto:
        """Return the graph with large weights as inputs: inference copies its graph three times.

        Of the stated shapes it has only those of what operators beyond ONNX's own give, which cannot be inferred.
        """
        outline = onnx.ModelProto(ir_version=self.proto.ir_version)
        outline.opset_import.extend(self.proto.opset_import)
        outline.functions.extend(self.proto.functions)
        outline.graph.name = self.proto.graph.name
        outline.graph.node.extend(self.nodes)
        outline.graph.input.extend(self.proto.graph.input)
        outline.graph.output.extend(onnx.ValueInfoProto(name=value.name, type=value.type) for value in self.proto.graph.output)
        foreign = {name for node in self.nodes if node.domain not in STANDARD for name in node.output}
        outline.graph.value_info.extend(value for value in self.proto.graph.value_info if value.name in foreign)
        given = {value.name for value in self.proto.graph.input}
        for tensor in self.proto.graph.initializer:
            if math.prod(tensor.dims) <= _LARGE:
                outline.graph.initializer.append(tensor)
            elif tensor.name not in given:
                outline.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        return outline

    # Running it

    def evaluator(self, names: list[str] | None = None, optimize: bool = False) -> Evaluator:
        """Return a function from keypoints to the tensors ``names``, or to the outputs, computed by ONNX Runtime.

        Unless ``optimize``, exactly as the graph is written. Raises ``SessionError`` if ONNX Runtime refuses the graph.
        """
        model = self.with_outputs(names).proto if names and not set(names) <= set(self.outputs) else self.proto
        session = open_session(model.SerializeToString(), session_options(optimize=optimize), name=self.name)
        source = session.get_inputs()[0].name
        return lambda keypoints: session.run(names, {source: keypoints})

    def run(self, keypoints: Float32Array) -> AnyArray:
        """Return the first output."""
        return self.evaluator()(keypoints)[0]

    def run_all(self, given: Mapping[str, Float32Array]) -> list[AnyArray]:
        """Return all outputs, exactly as the graph is written, of inputs by name."""
        session = open_session(self.proto.SerializeToString(), session_options(optimize=False), name=self.name)
        return session.run(None, dict(given))

    # Other forms of it

    def with_outputs(self, names: list[str]) -> Graph:
        """Return a copy that also gives the tensors ``names``, with their types as far as they are known."""
        copy, given = self.copy(), {*self.outputs, *self.inputs}
        known = {value.name: value for value in self._with_inferred_shapes(self._outline()).value_info}
        wanted = [name for name in dict.fromkeys(names) if name not in given]
        copy.proto.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in wanted)
        return copy

    def single_window(self) -> Graph:
        """Return a copy with a free batch set to one, and without the shapes that were written for the free one."""
        copy = self.copy()
        del copy.proto.graph.value_info[:]
        set_single_window(copy.proto.graph)
        return copy

    # Edits

    def insert(self, node: NodeProto, before: NodeProto | None = None, after: NodeProto | None = None) -> NodeProto:
        """Insert ``node`` beside another and return it as the graph holds it."""
        beside = before if before is not None else after
        place = self._place(beside) + (before is None)
        self.nodes.insert(place, node)
        held = self.nodes[place]
        self._index(held)
        self._changed()
        return held

    def remove(self, *nodes: NodeProto) -> None:
        """Remove nodes; what they made has no maker any more."""
        for node in nodes:
            for name in node.output:
                if self.makers.get(name) is node:
                    del self.makers[name]
                    self.stored.pop(name, None)
            self._unread(node)
            del self.nodes[self._place(node)]
        self._changed()

    def set_input(self, node: NodeProto, place: int, name: str) -> None:
        """Let ``node`` read ``name``."""
        self.set_inputs(node, [*node.input[:place], name, *node.input[place + 1 :]])

    def set_inputs(self, node: NodeProto, names: list[str]) -> None:
        """Let ``node`` read these tensors and no others."""
        self._unread(node)
        node.input[:] = names
        for name in tensors_read(node):
            self.readers[name].append(node)
        self._changed()

    def rename_output(self, node: NodeProto, name: str, place: int = 0) -> None:
        """Call an output of ``node`` something else; those that read it go on reading the old name."""
        if self.makers.get(node.output[place]) is node:
            del self.makers[node.output[place]]
        node.output[place] = name
        self.makers[name] = node
        self._changed()

    def add_constant(self, name: str, value: AnyArray) -> str:
        """Store ``value`` under ``name``, numbered if that is taken, and return what it is called."""
        taken = ChainMap[str, Any](self.stored, self.makers, dict.fromkeys(self.inputs))
        self.proto.graph.initializer.append(numpy_helper.from_array(value, name := unique(name, taken)))
        self.stored[name] = self.proto.graph.initializer[-1]
        self._changed()
        return name

    def store_constants(self) -> None:
        """Turn Constant nodes into initializers, where passes look for weights."""
        for node in [node for node in self.of("Constant") if node.attribute[0].name == "value"]:
            value, name = node.attribute[0].t, node.output[0]
            self.remove(node)
            tensor = self.proto.graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = name
            self.stored[name] = tensor

    def prune(self) -> None:
        """Remove the nodes that no output depends on, and the initializers that nothing reads."""
        given = set(self.outputs)
        for node in reversed(list(self.nodes)):
            if given.isdisjoint(node.output) and not any(self.readers[name] for name in node.output):
                self.remove(node)
        tensors = self.proto.graph.initializer
        for place, tensor in reversed(list(enumerate(tensors))):
            if not self.readers[tensor.name] and tensor.name not in given:
                del self.stored[tensor.name], tensors[place]
        self._changed()

    def set_opset(self, version: int, domain: str = "") -> None:
        """Import ``version`` of an operator set."""
        found = [entry for entry in self.proto.opset_import if entry.domain == domain]
        entry = found[0] if found else self.proto.opset_import.add(domain=domain)
        entry.version = version
        self._changed()

    def forget_shapes(self, names: set[str] | None = None) -> None:
        """Remove the shapes that the file states: of all tensors, or of ``names``."""
        kept = [value for value in self.proto.graph.value_info if names is not None and value.name not in names]
        del self.proto.graph.value_info[:]
        self.proto.graph.value_info.extend(kept)

    def state_shape(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> None:
        """State the shape and type of a tensor that the file says nothing of."""
        self.proto.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))
        self._changed()

    def state_shapes(self) -> None:
        """State all shapes anew, as far as they can be inferred."""
        self.forget_shapes()
        inferred: Any = onnx.shape_inference.infer_shapes(self.proto).graph
        self.proto.graph.value_info.extend(inferred.value_info)

    def _index(self, node: NodeProto) -> None:
        for name in node.output:
            if name:
                self.makers[name] = node
        for name in tensors_read(node):
            self.readers[name].append(node)
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            self.stored[node.output[0]] = node.attribute[0].t

    def _unread(self, node: NodeProto) -> None:
        for name in tensors_read(node):
            self.readers[name] = [reader for reader in self.readers[name] if reader is not node]

    def _place(self, node: NodeProto | None) -> int:
        return next(place for place, other in enumerate(self.nodes) if other is node)

    def _changed(self) -> None:
        """Forget what follows from the whole graph."""
        for name in _FOLLOWING:
            self.__dict__.pop(name, None)


def set_single_window(graph: onnx.GraphProto) -> None:
    """Set a free batch to one, and leave the outputs' shapes open."""
    for value in graph.input:
        if value.type.tensor_type.shape.dim and not value.type.tensor_type.shape.dim[0].dim_value:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
