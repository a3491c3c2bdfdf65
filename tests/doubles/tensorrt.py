"""A stand-in for ``tensorrt`` that parses, builds, loads and runs ONNX graphs, each version with the members it has.

A plan is a header and the ONNX file; ONNX Runtime computes the network. Lower precision is imitated where the
builder was free to choose it: poses are rounded to FP16 under that flag, to TF32 where that was left on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx

from tests.doubles.binding import Bound, Fake, ILogger, make_enum, restrict, tell
from tests.doubles.engine import CudaEngine, ExecutionContext, Plan, Runtime, Shape, shape_of
from tests.doubles.presence import max_opset, present

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
LAYER_TYPES = ("ELEMENTWISE", "SHAPE", *OPERATORS.values())
ENUMS: dict[str, dict[str, int]] = {
    "NetworkDefinitionCreationFlag": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1, "EXPLICIT_PRECISION": 2},
    "BuilderFlag": {
        "FP16": 0,
        "INT8": 1,
        "DEBUG": 2,
        "REFIT": 4,
        "STRICT_TYPES": 5,
        "TF32": 7,
        "OBEY_PRECISION_CONSTRAINTS": 10,
        "VERSION_COMPATIBLE": 13,
    },
    "LayerType": {name: number for number, name in enumerate(LAYER_TYPES)},
    "ProfilingVerbosity": {"LAYER_NAMES_ONLY": 0, "NONE": 1, "DETAILED": 2},
    "MemoryPoolType": {"WORKSPACE": 0},
    "TensorIOMode": {"NONE": 0, "INPUT": 1, "OUTPUT": 2},
    "DataType": {"FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "BOOL": 4, "UINT8": 5, "BF16": 7, "INT64": 8},
}
ALIASES = {"float32": "FLOAT", "float16": "HALF", "int8": "INT8", "int32": "INT32", "bool": "BOOL"}
LATER_ALIASES = {"uint8": "UINT8", "int64": "INT64", "bfloat16": "BF16"}
NEVER_READ = {"DynamicQuantizeLinear", "QLinearMatMul", "QLinearConv", "MatMulInteger", "ConvInteger"}


def make_tensorrt(fake: Fake) -> ModuleType:
    """Return the module of ``fake.version``."""
    module = ModuleType("tensorrt")
    members: dict[str, Any] = {name: make_enum(name, values, fake.release) for name, values in ENUMS.items()}
    for alias, name in (ALIASES | LATER_ALIASES).items():
        if present(alias, fake.release):
            members[alias] = members["DataType"][name]
    bound = {
        "Builder": Builder,
        "INetworkDefinition": NetworkDefinition,
        "ITensor": Tensor,
        "IBuilderConfig": BuilderConfig,
        "IOptimizationProfile": OptimizationProfile,
        "OnnxParser": OnnxParser,
        "ParserError": ParserError,
        "ILayer": Layer,
        "ITimingCache": TimingCache,
        "Runtime": Runtime,
        "ICudaEngine": CudaEngine,
        "IExecutionContext": ExecutionContext,
    }
    members |= {name: restrict(kind, name, fake, module) for name, kind in bound.items()}
    members |= {"IProgressMonitor": ProgressMonitor, "IInt8MinMaxCalibrator": Calibrator}
    members |= {"ILogger": ILogger, "__version__": fake.version, "init_libnvinfer_plugins": lambda logger, namespace: True}
    for name, value in members.items():
        if present(name, fake.release):
            setattr(module, name, value)
    return module


class HostMemory(bytes):
    """A serialized engine: anything that takes a buffer takes it."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return len(self)


class Builder(Bound):
    """Makes networks, configurations and plans."""

    def __init__(self, logger: ILogger) -> None:
        self.fake.gpu.need_context("createInferBuilder")
        self.fake.gpu.track(self, "builder")
        self._logger = logger

    def create_network(self, flags: int = 0) -> Any:
        return self.trt.INetworkDefinition(flags)

    def create_builder_config(self) -> Any:
        return self.trt.IBuilderConfig()

    def create_optimization_profile(self) -> Any:
        return self.trt.IOptimizationProfile()

    @property
    def platform_has_fast_fp16(self) -> bool:
        return True

    @property
    def platform_has_fast_int8(self) -> bool:
        return self.fake.gpu.capability not in {(5, 3), (6, 2)}

    @property
    def platform_has_tf32(self) -> bool:
        return self.fake.gpu.capability >= (8, 0)

    def build_serialized_network(self, network: NetworkDefinition, config: BuilderConfig) -> HostMemory | None:
        self.fake.on_build()
        problem = self.fake.build_error or conflict(network, config)
        if problem is None and config._calibrator is not None and not network.quantized:
            config._input_range = calibrate(config._calibrator, network, self.fake)
        if problem is None and config._monitor is not None:
            problem = report_progress(config._monitor, len(network._layers), self.fake)
        if problem:
            tell(self._logger, problem)
            return None
        if config._timing_cache is not None:
            config._timing_cache._measured |= {layer.name for layer in network._layers}
        plan = Plan(
            version=self.fake.version,
            capability=self.fake.gpu.capability,
            strongly_typed=network._strong,
            flags=tuple(sorted(config._flags)),
            workspace=config._workspace,
            aux_streams=config._aux_streams,
            profile=config._profiles[0]._shapes if config._profiles else None,
            optimization_level=config._level,
            pinned=tuple(layer.name for layer in network._layers if layer._precision is not None),
            input_range=config._input_range,
            model_sha256=hashlib.sha256(network._model).hexdigest(),
        )
        self.fake.built.append(plan)
        return HostMemory(plan.serialize(network._model))

    def build_engine(self, network: NetworkDefinition, config: BuilderConfig) -> Any:
        raise AssertionError("deprecated in 8.x, gone in 10.0")

    def build_serialized_network_to_stream(self, network: NetworkDefinition, config: BuilderConfig, writer: Any) -> bool:
        raise AssertionError("not needed")


def conflict(network: NetworkDefinition, config: BuilderConfig) -> str | None:
    """Return why this network cannot be built with these flags."""
    model = onnx.load_from_string(network._model)
    operators = {node.op_type for node in model.graph.node}
    half = any(weight.data_type == onnx.TensorProto.FLOAT16 for weight in model.graph.initializer)
    if network._strong and config._flags & {"FP16", "INT8"}:
        return "Precision flags are not supported in a strongly typed network"
    if network._strong and any(layer._precision is not None for layer in network._layers):
        return "Layer precision is not supported in a strongly typed network"
    if "INT8" in config._flags and not network.quantized and config._calibrator is None:
        return "Calibration failure occurred with no scaling factors detected"
    if not network._strong and "QuantizeLinear" in operators and "INT8" not in config._flags:
        return "Q/DQ nodes found but INT8 precision is not enabled"
    if not network._strong and half and "FP16" not in config._flags:
        return "FP16 tensors found but FP16 precision is not enabled"
    if any(-1 in tensor.shape for tensor in network._inputs) and not config._profiles:
        return "Network has dynamic or shape inputs, but no optimization profile has been defined"
    return None


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
    def quantized(self) -> bool:
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
    """A network input."""

    def __init__(self, name: str, shape: Shape) -> None:
        self._name, self._shape = name, shape

    @property
    def name(self) -> str:
        return self._name

    @property
    def shape(self) -> Shape:
        return self._shape


class Layer(Bound):
    """What the parser made of a node, under the node's name."""

    def __init__(self, name: str, operator: str) -> None:
        kinds = self.trt.LayerType
        self._name, self._precision = name, None
        self._type = getattr(kinds, OPERATORS.get(operator, "ELEMENTWISE"), kinds.ELEMENTWISE)

    @property
    def name(self) -> str:
        return self._name

    @property
    def type(self) -> Any:
        return self._type

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def precision(self) -> Any:
        return self._precision

    @precision.setter
    def precision(self, dtype: Any) -> None:
        self._precision = self.trt.DataType(dtype)

    def set_output_type(self, index: int, dtype: Any) -> None:
        assert index == 0
        assert dtype is self._precision


class TimingCache(Bound):
    """Names of the layers whose kernels were timed, for one version and device."""

    def __init__(self, data: bytes) -> None:
        self._device = f"{self.fake.version} {self.fake.gpu.capability}"
        self._origin, _, names = data.decode().partition(":") if data else (self._device, "", "")
        self._measured = set(filter(None, names.split(",")))

    def serialize(self) -> HostMemory:
        return HostMemory(f"{self._device}:{','.join(sorted(self._measured))}".encode())


class ProgressMonitor:
    """Base of monitors; a subclass must call ``__init__``."""

    def __init__(self) -> None:
        self.ready = True


def report_progress(monitor: Any, steps: int, fake: Fake) -> str | None:
    """Tell a monitor of a build with one phase inside another; returns a line for the log if it cancels."""
    assert monitor.ready
    guarded(fake, monitor.phase_start, "Building Engine", None, steps)
    try:
        for step in range(steps):
            guarded(fake, monitor.phase_start, "Timing", "Building Engine", 1)
            inner = guarded(fake, monitor.step_complete, "Timing", 0)
            guarded(fake, monitor.phase_finish, "Timing")
            if not inner or not guarded(fake, monitor.step_complete, "Building Engine", step):
                return "Build cancelled by the progress monitor"
        return None
    finally:
        guarded(fake, monitor.phase_finish, "Building Engine")


def guarded(fake: Fake, callback: Any, *arguments: Any) -> Any:
    """Call into Python as the bindings do from 8.4 on: what is raised is printed, and counts as False."""
    try:
        return callback(*arguments)
    except BaseException as error:
        if fake.release < (8, 4):
            raise AssertionError("the process aborts: an exception left a callback") from error
        fake.printed.append(f"[ERROR] Exception caught in {callback.__name__}(): {error!r}")
        return False


class Calibrator:
    """Base of calibrators; a subclass must call ``__init__``."""

    def __init__(self) -> None:
        self.ready = True


def calibrate(calibrator: Any, network: NetworkDefinition, fake: Fake) -> float:
    """Return the largest input that a calibrator knows or shows."""
    assert calibrator.ready
    cache = guarded(fake, calibrator.read_calibration_cache)
    if cache:
        return float(bytes(cache).split(b" ")[1])
    names, largest = [tensor.name for tensor in network._inputs], 0.0
    while addresses := guarded(fake, calibrator.get_batch, names):
        assert len(addresses) == len(names)
        shape = (calibrator.get_batch_size(), *network._inputs[0].shape[1:])
        values = np.frombuffer(fake.gpu.device_bytes(addresses[0], int(np.prod(shape)) * 4), np.float32)
        largest = max(largest, float(np.abs(values).max()))
    text = bytearray(f"TRT-{fake.version}-MinMaxCalibration {largest}".encode())
    guarded(fake, calibrator.write_calibration_cache, memoryview(text))
    text[:] = b"\0" * len(text)  # the memory is TensorRT's own again
    return largest


class BuilderConfig(Bound):
    """Options of a build; TF32 is on from the start."""

    def __init__(self) -> None:
        self._flags = {"TF32"}
        self._workspace: int | None = None
        self._aux_streams: int | None = None
        self._profiles: list[OptimizationProfile] = []
        self._timing_cache: TimingCache | None = None
        self._calibrator: Any = None
        self._calibration_profile: OptimizationProfile | None = None
        self._input_range: float | None = None
        self._monitor: Any = None
        self._level: int | None = None
        self._verbosity: Any = self.trt.ProfilingVerbosity.LAYER_NAMES_ONLY

    def create_timing_cache(self, data: bytes) -> Any:
        return self.trt.ITimingCache(bytes(data))

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        if cache._origin != cache._device and not ignore_mismatch:
            return False
        self._timing_cache = cache
        return True

    def get_timing_cache(self) -> TimingCache | None:
        return self._timing_cache

    @property
    def int8_calibrator(self) -> Any:
        return self._calibrator

    @int8_calibrator.setter
    def int8_calibrator(self, calibrator: Any) -> None:
        self._calibrator = calibrator

    def set_calibration_profile(self, profile: OptimizationProfile) -> bool:
        self._calibration_profile = profile
        return True

    @property
    def progress_monitor(self) -> Any:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, monitor: Any) -> None:
        self._monitor = monitor

    @property
    def builder_optimization_level(self) -> int | None:
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, level: int) -> None:
        assert 0 <= level <= 5
        self._level = level

    @property
    def profiling_verbosity(self) -> Any:
        return self._verbosity

    @profiling_verbosity.setter
    def profiling_verbosity(self, verbosity: Any) -> None:
        self._verbosity = verbosity

    def set_flag(self, flag: Any) -> None:
        self._flags.add(self._known(flag))

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(self._known(flag))

    def get_flag(self, flag: Any) -> bool:
        return self._known(flag) in self._flags

    def _known(self, flag: Any) -> str:
        if not isinstance(flag, self.trt.BuilderFlag):
            raise TypeError("incompatible function arguments")
        return str(flag.name)

    @property
    def max_workspace_size(self) -> int | None:
        return self._workspace

    @max_workspace_size.setter
    def max_workspace_size(self, size: int) -> None:
        self._workspace = size

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        assert pool is self.trt.MemoryPoolType.WORKSPACE
        self._workspace = pool_size

    def get_memory_pool_limit(self, pool: Any) -> int | None:
        return self._workspace

    @property
    def max_aux_streams(self) -> int | None:
        return self._aux_streams

    @max_aux_streams.setter
    def max_aux_streams(self, count: int) -> None:
        self._aux_streams = count

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        if profile._shapes is None:
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1


class OptimizationProfile(Bound):
    """The shapes that a free dimension may take."""

    def __init__(self) -> None:
        self._shapes: tuple[Shape, Shape, Shape] | None = None

    def set_shape(self, name: str, minimum: Shape, optimum: Shape, maximum: Shape) -> None:
        if not all(low <= best <= high for low, best, high in zip(minimum, optimum, maximum, strict=True)):
            raise ValueError("shapes are inconsistent")
        self._shapes = (tuple(minimum), tuple(optimum), tuple(maximum))


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

    def parse_from_file(self, path: str) -> bool:
        return self.parse(Path(path).read_bytes(), path)

    def parse(self, data: bytes, path: str | None = None) -> bool:
        try:
            model = onnx.load_from_string(data)
        except Exception:  # protobuf's DecodeError, which has no types
            return self._fail("Failed to parse ONNX model")
        opset, newest = model.opset_import[0].version, max_opset(self.fake.release)
        if not self._network._explicit_batch:
            return self._fail("This version of the ONNX parser only supports networks with an explicit batch dimension")
        if opset > newest:
            return self._fail(f"Opset {opset} is not supported, the newest is {newest}")
        for index, node in enumerate(model.graph.node):
            if node.op_type in NEVER_READ or (node.op_type == "LayerNormalization" and self.fake.release < (8, 6)):
                return self._fail(f"No importer registered for op: {node.op_type}", index, node)
        self._network._model = data
        self._network._layers = [self.trt.ILayer(node.name, node.op_type) for node in model.graph.node]
        self._network._inputs = [self.trt.ITensor(value.name, shape_of(value)) for value in model.graph.input]
        return True

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
