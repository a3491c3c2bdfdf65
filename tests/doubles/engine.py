"""Plans, runtime, engine and execution context of the TensorRT stand-in; ONNX Runtime computes the network."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from tests.doubles.binding import Bound, ILogger, tell
from tests.doubles.gpu import LAUNCH_MS, Gpu
from tests.doubles.inspector import built_layers, report_times

CONTEXT_BYTES = 64 << 10  # device memory of every execution context
HEADER_BYTES = 4
PLUGINS = {"ScatterElements"}  # operators that become a stock plugin (CHANGELOG of TensorRT 10.x; 8.x too)
NUMPY_TYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32, "INT64": np.int64}
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What a build decided: in front of the ONNX file in the serialized form."""

    version: str
    capability: tuple[int, int]
    strongly_typed: bool
    flags: tuple[str, ...]
    workspace: int | None
    aux_streams: int | None
    profile: tuple[Shape, Shape, Shape] | None  # smallest, tuned for, largest
    optimization_level: int | None
    pinned: tuple[str, ...]  # layers held in FP32
    input_range: float | None  # found by calibration
    verbosity: str
    model_sha256: str

    def serialize(self, model: bytes) -> bytes:
        """Return the plan file."""
        header = json.dumps(asdict(self)).encode()
        return len(header).to_bytes(HEADER_BYTES, "big") + header + model

    @classmethod
    def parse(cls, data: bytes) -> tuple[Plan, bytes]:
        """Return plan and ONNX file; raises ``ValueError`` if the file is not whole."""
        size = int.from_bytes(data[:HEADER_BYTES], "big")
        values = json.loads(data[HEADER_BYTES : HEADER_BYTES + size])
        model = data[HEADER_BYTES + size :]
        for key in ("capability", "flags", "pinned"):
            values[key] = tuple(values[key])
        values["profile"] = values["profile"] and tuple(map(tuple, values["profile"]))
        plan = cls(**values)
        if hashlib.sha256(model).hexdigest() != plan.model_sha256:
            raise ValueError("truncated")
        return plan, model


class Runtime(Bound):
    """Loads plans of its own version and compute capability only."""

    def __init__(self, logger: ILogger) -> None:
        self._logger, self._host_code = logger, False
        self.fake.gpu.track(self, "runtime")

    @property
    def engine_host_code_allowed(self) -> bool:
        return self._host_code

    @engine_host_code_allowed.setter
    def engine_host_code_allowed(self, allowed: bool) -> None:
        self._host_code = allowed

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        try:
            plan, model = Plan.parse(bytes(serialized_engine))
        except (ValueError, KeyError, TypeError):
            return self._refuse("Serialization assertion stdMagicTagRead == kMAGIC_TAG failed. Magic tag does not match")
        lasting = "VERSION_COMPATIBLE" in plan.flags and self._host_code
        if lasting and plan.version.split(".")[0] == self.fake.version.split(".")[0]:
            pass
        elif plan.version != self.fake.version:
            return self._refuse(
                "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed. Version tag does not match. "
                "Note: Current Version: 239, Serialized Engine Version: 240"
            )
        if not self.fake.plugins and any(node.op_type in PLUGINS for node in onnx.load_from_string(model).graph.node):
            return self._refuse("getPluginCreator could not find plugin: ScatterElements version: 1")
        if plan.capability != self.fake.gpu.capability:
            return self._refuse("The engine plan file is generated on an incompatible device")
        return self.trt.ICudaEngine(self, plan, model)

    def _refuse(self, reason: str) -> None:
        tell(self._logger, reason)
        tell(self._logger, "Engine deserialization failed")


class CudaEngine(Bound):
    """An engine; ``_io`` holds (name, is input, type, shape as built) in order."""

    def __init__(self, runtime: Runtime, plan: Plan, model: bytes) -> None:
        self._runtime, self._plan, self._logger = runtime, plan, runtime._logger
        parsed = onnx.load_from_string(model)
        graph, self._layers = parsed.graph, built_layers(parsed, self.fake.release)
        self._io = [(value.name, True, self._type(value), shape_of(value)) for value in graph.input]
        self._io += [(value.name, False, self._type(value), shape_of(value)) for value in graph.output]
        self._session = open_session(with_tf32(parsed, plan).SerializeToString())
        self.fake.gpu.track(self, "engine")

    def _type(self, value: onnx.ValueInfoProto) -> str:
        name = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        native = {"FLOAT16": "HALF", "INT64": "INT64" if self.fake.release >= (10, 0) else "INT32"}
        return native.get(name, name)

    def _entry(self, name: str) -> tuple[str, bool, str, Shape]:
        return next(entry for entry in self._io if entry[0] == name)

    def create_execution_context(self) -> Any:
        if self.fake.gpu.free_memory < CONTEXT_BYTES:
            tell(self._logger, f"Requested amount of GPU memory ({CONTEXT_BYTES} bytes) could not be allocated")
            return None
        return self.trt.IExecutionContext(self)

    def create_engine_inspector(self) -> Any:
        return self.trt.EngineInspector(self)

    @property
    def num_bindings(self) -> int:
        return len(self._io)

    def get_binding_name(self, index: int) -> str:
        return self._io[index][0]

    def get_binding_index(self, name: str) -> int:
        return [entry[0] for entry in self._io].index(name)

    def binding_is_input(self, index: int) -> bool:
        return self._io[index][1]

    def get_binding_dtype(self, index: int) -> Any:
        return self.trt.DataType[self._io[index][2]]

    def get_binding_shape(self, index: int) -> Shape:
        return self._io[index][3]

    def get_profile_shape(self, profile_index: int, binding: str | int) -> list[Shape]:
        return list(self._plan.profile or ())

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Shape]:
        return list(self._plan.profile or ())

    @property
    def num_io_tensors(self) -> int:
        return len(self._io)

    def get_tensor_name(self, index: int) -> str:
        return self._io[index][0]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.INPUT if self._entry(name)[1] else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.trt.DataType[self._entry(name)[2]]

    def get_tensor_shape(self, name: str) -> Shape:
        return self._entry(name)[3]

    @property
    def device_memory_size(self) -> int:
        return CONTEXT_BYTES

    @property
    def device_memory_size_v2(self) -> int:
        return CONTEXT_BYTES


class ExecutionContext(Bound):
    """Runs its engine on a stream, from and to device addresses."""

    def __init__(self, engine: CudaEngine) -> None:
        self._engine, self._gpu = engine, self.fake.gpu
        self._shapes = {name: shape for name, is_input, _, shape in engine._io if is_input and -1 not in shape}
        self._addresses: dict[str, int] = {}
        self._ran = self._left_error = False
        self._profiler: Any = None
        self._gpu.reserved += CONTEXT_BYTES
        self._gpu.track(self, "execution context")

    def __del__(self) -> None:
        self._gpu.reserved -= CONTEXT_BYTES

    @property
    def profiler(self) -> Any:
        return self._profiler

    @profiler.setter
    def profiler(self, profiler: Any) -> None:
        self._profiler = profiler

    def set_binding_shape(self, index: int, shape: Shape) -> bool:
        return set_shape(self, self._engine._io[index][0], tuple(shape))

    def get_binding_shape(self, index: int) -> Shape:
        return fixed_shape(self, self._engine._io[index][0])

    def execute_async_v2(self, bindings: list[int], stream_handle: int) -> bool:
        if len(bindings) != len(self._engine._io):
            self._gpu.mistakes.append("wrong number of bindings")
        names = [entry[0] for entry in self._engine._io]
        return enqueue(self, dict(zip(names, bindings, strict=False)), stream_handle)

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        return set_shape(self, name, tuple(shape))

    def get_tensor_shape(self, name: str) -> Shape:
        return fixed_shape(self, name)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if not isinstance(memory, int):
            raise TypeError("set_tensor_address(): incompatible function arguments")
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        return enqueue(self, self._addresses, stream_handle)


def set_shape(context: ExecutionContext, name: str, shape: Shape) -> bool:
    """Fix an input's shape, within what the engine was built for."""
    built = context._engine._entry(name)[3]
    least, _, most = (context._engine._plan.profile if -1 in built else None) or (built, built, built)
    if len(shape) != len(least) or any(not low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
        tell(context._engine._logger, f"Static dimension mismatch while setting input shape: {shape}, not in {least} to {most}")
        return False
    context._ran = False  # as after every change of shape
    context._shapes[name] = shape
    return True


def fixed_shape(context: ExecutionContext, name: str) -> Shape:
    """Return a shape as it stands: a free batch is that of the input once that is known."""
    _, is_input, _, shape = context._engine._entry(name)
    if is_input:
        return context._shapes.get(name, shape)
    batch = next((given[0] for given in context._shapes.values()), -1)
    return tuple(batch if size == -1 else size for size in shape)


def enqueue(context: ExecutionContext, addresses: dict[str, int], stream: int) -> bool:
    """Put one run on ``stream``; False, and a line in the log, where TensorRT refuses."""
    engine, gpu = context._engine, context._gpu
    missing = [name for name, is_input, _, _ in engine._io if name not in addresses or (is_input and name not in context._shapes)]
    if missing:
        tell(engine._logger, f"Not all tensors have a shape and an address: {missing}")
        return False
    memory = {}
    for name, _, kind, _ in engine._io:
        shape = fixed_shape(context, name)
        dtype = np.dtype(NUMPY_TYPES[kind])
        memory[name] = (gpu.device_bytes(addresses[name], int(np.prod(shape)) * dtype.itemsize), dtype, shape)
    if stream and gpu.queues[stream].recorded is not None and (not context._ran or context.fake.capture_error):
        tell(engine._logger, "operation not permitted when stream is capturing")
        context._left_error = True  # trtexec clears it with cudaGetLastError after a failed capture (sampleUtils.cpp)
        return False
    if context._left_error:
        context._left_error = False
        tell(engine._logger, "operation failed due to a previous error during capture")
        return False
    context._ran = True
    mapped = [name for name in memory if gpu.is_mapped(addresses[name])]
    gpu.submit(stream, lambda: run(engine, memory, gpu, mapped))
    if context._profiler is not None:  # then every run synchronises and reports
        gpu.wait(stream)
        report_times(context._profiler, engine._layers)
    return True


def run(engine: CudaEngine, memory: dict[str, tuple[memoryview, np.dtype[Any], Shape]], gpu: Gpu, mapped: list[str]) -> None:
    """Compute the network on device memory, and on what is mapped: as that is when the network runs."""
    time.sleep(gpu.mapped_s if mapped else 0)
    arrays = {name: np.frombuffer(block, dtype).reshape(shape) for name, (block, dtype, shape) in memory.items()}
    inputs = {name: as_calibrated(arrays[name], engine._plan) for name, is_input, _, _ in engine._io if is_input}
    outputs = [name for name, is_input, _, _ in engine._io if not is_input]
    for name, value in zip(outputs, engine._session.run(outputs, inputs), strict=True):
        block, dtype, _ = memory[name]
        block[:] = (
            as_built(value, engine._plan).astype(dtype).tobytes() if name not in mapped or not gpu.torn else b"\xcd" * len(block)
        )
    gpu.clock_ms += LAUNCH_MS


def as_built(value: np.ndarray[Any, Any], plan: Plan) -> np.ndarray[Any, Any]:
    """Round as the builder's freedom allows: to FP16 under that flag."""
    if value.dtype != np.float32:
        return value
    if "FP16" in plan.flags:
        return value.astype(np.float16).astype(np.float32)
    return value


def with_tf32(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Return the network as it computes where TF32 is on: FP32 products read their inputs with the 10 bits of FP16's mantissa.

    Whatever the other flags and the typing: it counts for all that stays in FP32 (``BuilderFlag.TF32`` of NvInfer.h).
    """
    if "TF32" not in plan.flags or plan.capability < (8, 0):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kinds = {value.name: value.type.tensor_type.elem_type for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    nodes = list(copy.graph.node)
    del copy.graph.node[:]
    for node in nodes:
        if node.op_type == "MatMul" and kinds.get(node.output[0]) == onnx.TensorProto.FLOAT:
            for place, name in enumerate(node.input):
                half, rounded = f"{node.name}_{place}_tf32", f"{node.name}_{place}_rounded"
                copy.graph.node.append(onnx.helper.make_node("Cast", [name], [half], to=onnx.TensorProto.FLOAT16))
                copy.graph.node.append(onnx.helper.make_node("Cast", [half], [rounded], to=onnx.TensorProto.FLOAT))
                node.input[place] = rounded
        copy.graph.node.append(node)
    return copy


def as_calibrated(value: np.ndarray[Any, Any], plan: Plan) -> np.ndarray[Any, Any]:
    """Round to INT8 by the range that calibration found."""
    if plan.input_range is None:
        return value
    scale = np.float32(plan.input_range / 127)
    return np.clip(np.rint(value / scale), -127, 127).astype(np.float32) * scale


def shape_of(value: onnx.ValueInfoProto) -> Shape:
    """Return a tensor's shape, -1 where it is free."""
    return tuple(size.dim_value if size.HasField("dim_value") else -1 for size in value.type.tensor_type.shape.dim)


def open_session(model: bytes) -> ort.InferenceSession:
    """Open the network behind an engine."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
