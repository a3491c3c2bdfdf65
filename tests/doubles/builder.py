"""The builder of the TensorRT stand-in."""

from __future__ import annotations

import hashlib
from typing import Any

import onnx

from tests.doubles.binding import Bound, ILogger, tell
from tests.doubles.callbacks import calibrate, report_progress
from tests.doubles.config import BuilderConfig, HostMemory
from tests.doubles.engine import Plan
from tests.doubles.network import NetworkDefinition


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
        if problem is None and config._calibrator is not None and not network._quantized:
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
            verbosity=str(config._verbosity.name),
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
    if "INT8" in config._flags and not network._quantized and config._calibrator is None:
        return "Calibration failure occurred with no scaling factors detected"
    if not network._strong and "QuantizeLinear" in operators and "INT8" not in config._flags:
        return "Q/DQ nodes found but INT8 precision is not enabled"
    if not network._strong and half and "FP16" not in config._flags:
        return "FP16 tensors found but FP16 precision is not enabled"
    if any(-1 in tensor.shape for tensor in network._inputs) and not config._profiles:
        return "Network has dynamic or shape inputs, but no optimization profile has been defined"
    return None
