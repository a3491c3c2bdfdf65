"""Which members each TensorRT has: (first, last) version, None for always; from shared/facts/tensorrt_python_api.md."""

from __future__ import annotations

Version = tuple[int, int]

PRESENCE: dict[str, tuple[Version | None, Version | None]] = {
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": (None, (10, 16)),
    "NetworkDefinitionCreationFlag.EXPLICIT_PRECISION": (None, (9, 3)),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": ((9, 1), None),
    "BuilderFlag.FP16": (None, (10, 16)),
    "BuilderFlag.INT8": (None, (10, 16)),
    "BuilderFlag.BF16": ((10, 0), (10, 16)),
    "BuilderFlag.FP8": ((8, 6), (10, 16)),
    "BuilderFlag.STRICT_TYPES": (None, (9, 3)),
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": (None, (10, 16)),
    "BuilderFlag.PREFER_PRECISION_CONSTRAINTS": (None, (10, 16)),
    "BuilderFlag.VERSION_COMPATIBLE": ((8, 6), None),
    "Builder.platform_has_fast_fp16": (None, (10, 16)),
    "Builder.platform_has_fast_int8": (None, (10, 16)),
    "Builder.platform_has_tf32": (None, (10, 16)),
    "Builder.build_engine": (None, (9, 3)),
    "Builder.build_serialized_network_to_stream": ((10, 13), None),
    "IBuilderConfig.max_workspace_size": (None, (9, 3)),
    "IBuilderConfig.set_memory_pool_limit": ((8, 4), None),
    "IBuilderConfig.get_memory_pool_limit": ((8, 4), None),
    "IBuilderConfig.max_aux_streams": ((8, 6), None),
    "IBuilderConfig.builder_optimization_level": ((8, 6), None),
    "IBuilderConfig.progress_monitor": ((9, 1), None),
    "IBuilderConfig.int8_calibrator": (None, (10, 16)),
    "IBuilderConfig.set_calibration_profile": (None, (10, 16)),
    "IProgressMonitor": ((9, 1), None),
    "IInt8MinMaxCalibrator": (None, (10, 16)),
    "ILayer.precision": (None, (10, 16)),
    "ILayer.set_output_type": (None, (10, 16)),
    "LayerType.NORMALIZATION": ((8, 6), None),
    "LayerType.CAST": ((8, 6), None),
    "Runtime.engine_host_code_allowed": ((8, 6), None),
    "ParserError.node_name": ((10, 0), None),
    "ParserError.node_operator": ((10, 0), None),
    "ICudaEngine.num_bindings": (None, (9, 3)),
    "ICudaEngine.get_binding_name": (None, (9, 3)),
    "ICudaEngine.get_binding_index": (None, (9, 3)),
    "ICudaEngine.get_binding_shape": (None, (9, 3)),
    "ICudaEngine.get_binding_dtype": (None, (9, 3)),
    "ICudaEngine.binding_is_input": (None, (9, 3)),
    "ICudaEngine.get_profile_shape": (None, (9, 3)),
    "ICudaEngine.get_tensor_profile_shape": ((8, 5), None),
    "ICudaEngine.num_io_tensors": ((8, 5), None),
    "ICudaEngine.get_tensor_name": ((8, 5), None),
    "ICudaEngine.get_tensor_mode": ((8, 5), None),
    "ICudaEngine.get_tensor_dtype": ((8, 5), None),
    "ICudaEngine.get_tensor_shape": ((8, 5), None),
    "ICudaEngine.device_memory_size": (None, (10, 16)),
    "ICudaEngine.device_memory_size_v2": ((10, 1), None),
    "IExecutionContext.set_binding_shape": (None, (9, 3)),
    "IExecutionContext.get_binding_shape": (None, (9, 3)),
    "IExecutionContext.execute_async_v2": (None, (9, 3)),
    "IExecutionContext.set_input_shape": ((8, 5), None),
    "IExecutionContext.get_tensor_shape": ((8, 5), None),
    "IExecutionContext.set_tensor_address": ((8, 5), None),
    "IExecutionContext.execute_async_v3": ((8, 5), None),
    "DataType.UINT8": ((8, 5), None),
    "DataType.INT64": ((10, 0), None),
    "DataType.BF16": ((10, 0), None),
    "MemoryPoolType": ((8, 4), None),
    "TensorIOMode": ((8, 5), None),
    "uint8": ((8, 5), None),
    "int64": ((10, 0), None),
    "bfloat16": ((10, 0), None),
}

# ONNX opsets that each TensorRT reads, by the first version of the range; from shared/facts/jetson.md, section 3.
MAX_OPSET: dict[Version, int] = {(8, 2): 13, (8, 4): 17, (9, 0): 19, (10, 0): 20, (10, 15): 24}


def present(member: str, version: Version) -> bool:
    """Whether ``member`` exists in ``version``."""
    first, last = PRESENCE.get(member, (None, None))
    return (first is None or version >= first) and (last is None or version <= last)


def max_opset(version: Version) -> int:
    """Return the newest opset that ``version`` reads."""
    return MAX_OPSET[max(first for first in MAX_OPSET if first <= version)]
