"""A stand-in for ``tensorrt`` that parses, builds, loads and runs ONNX graphs, each version with the members it has.

A plan is a header and the ONNX file; ONNX Runtime computes the network. Lower precision is imitated where the
builder was free to choose it: poses are rounded to FP16 under that flag, to TF32 where that was left on.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tests.doubles.binding import Fake, ILogger, make_enum, restrict
from tests.doubles.builder import Builder
from tests.doubles.callbacks import Calibrator, ProgressMonitor
from tests.doubles.config import BuilderConfig, OptimizationProfile, TimingCache
from tests.doubles.engine import CudaEngine, ExecutionContext, Runtime
from tests.doubles.inspector import EngineInspector, Profiler
from tests.doubles.network import LAYER_TYPES, Layer, NetworkDefinition, OnnxParser, ParserError, Tensor
from tests.doubles.presence import present

ENUMS: dict[str, dict[str, int]] = {
    "NetworkDefinitionCreationFlag": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1, "EXPLICIT_PRECISION": 2},
    "BuilderFlag": {
        "FP16": 0,
        "INT8": 1,
        "DEBUG": 2,
        "STRICT_TYPES": 5,
        "TF32": 7,
        "OBEY_PRECISION_CONSTRAINTS": 10,
        "VERSION_COMPATIBLE": 13,
    },
    "LayerType": {name: number for number, name in enumerate(LAYER_TYPES)},
    "ProfilingVerbosity": {"LAYER_NAMES_ONLY": 0, "NONE": 1, "DETAILED": 2},
    "LayerInformationFormat": {"ONELINE": 0, "JSON": 1},
    "MemoryPoolType": {"WORKSPACE": 0},
    "TensorIOMode": {"NONE": 0, "INPUT": 1, "OUTPUT": 2},
    "DataType": {"FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "BOOL": 4, "UINT8": 5, "BF16": 7, "INT64": 8},
}
ALIASES = {"float32": "FLOAT", "float16": "HALF", "int8": "INT8", "int32": "INT32", "bool": "BOOL"}
LATER_ALIASES = {"uint8": "UINT8", "int64": "INT64", "bfloat16": "BF16"}


def make_tensorrt(fake: Fake) -> ModuleType:
    """Return the module of ``fake.version``."""
    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)  # so that others may ask whether it is there
    members: dict[str, Any] = {name: make_enum(name, values, fake.release) for name, values in ENUMS.items()}
    for alias, name in (ALIASES | LATER_ALIASES).items():
        if present(alias, fake.release):
            members[alias] = members["DataType"][name]

    def register_plugins(logger: ILogger, namespace: str) -> bool:
        fake.plugins = True
        return True

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
        "EngineInspector": EngineInspector,
    }
    members |= {name: restrict(kind, name, fake, module) for name, kind in bound.items()}
    members |= {"IProgressMonitor": ProgressMonitor, "IInt8MinMaxCalibrator": Calibrator, "IProfiler": Profiler}
    members |= {"ILogger": ILogger, "__version__": fake.version, "init_libnvinfer_plugins": register_plugins}
    for name, value in members.items():
        if present(name, fake.release):
            setattr(module, name, value)
    return module
