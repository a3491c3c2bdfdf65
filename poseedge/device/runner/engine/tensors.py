"""An engine's inputs and outputs."""

from typing import Any, Tuple

import numpy as np

from poseedge.device.runner.words import Refused


class BindingApi:
    """Inputs and outputs by number: TensorRT before 8.5."""

    def __init__(self, trt: Any, engine: Any, context: Any) -> None:
        self.engine, self.context = engine, context
        self.names = [engine.get_binding_name(index) for index in range(engine.num_bindings)]
        self.inputs = [name for index, name in enumerate(self.names) if engine.binding_is_input(index)]
        self.addresses = [0] * len(self.names)

    def set_shape(self, name: str, shape: Tuple[int, ...]) -> None:
        """Fix a free input shape."""
        self.context.set_binding_shape(self.names.index(name), shape)

    def tensor(self, name: str) -> Tuple[Any, Tuple[int, ...]]:
        """Return (TensorRT type, shape) once the input shapes are fixed."""
        index = self.names.index(name)
        return self.engine.get_binding_dtype(index), tuple(self.context.get_binding_shape(index))

    def bind(self, name: str, address: int) -> bool:
        """Give a tensor its device memory."""
        self.addresses[self.names.index(name)] = address
        return True

    def enqueue(self, stream: int) -> bool:
        """Start the network on a CUDA stream."""
        return bool(self.context.execute_async_v2(bindings=self.addresses, stream_handle=stream))


class TensorApi:
    """Inputs and outputs by name: TensorRT from 8.5."""

    def __init__(self, trt: Any, engine: Any, context: Any) -> None:
        self.engine, self.context = engine, context
        self.names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.inputs = [name for name in self.names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]

    def set_shape(self, name: str, shape: Tuple[int, ...]) -> None:
        """Fix a free input shape."""
        self.context.set_input_shape(name, shape)

    def tensor(self, name: str) -> Tuple[Any, Tuple[int, ...]]:
        """Return (TensorRT type, shape) once the input shapes are fixed."""
        return self.engine.get_tensor_dtype(name), tuple(self.context.get_tensor_shape(name))

    def bind(self, name: str, address: int) -> bool:
        """Give a tensor its device memory."""
        return bool(self.context.set_tensor_address(name, address))

    def enqueue(self, stream: int) -> bool:
        """Start the network on a CUDA stream."""
        return bool(self.context.execute_async_v3(stream_handle=stream))


def numpy_type(trt: Any, dtype: Any) -> Any:
    """Return the numpy type of a TensorRT type; ``trt.nptype`` of 8.2 breaks with numpy 1.24."""
    for name in ("float32", "float16", "int32", "int8", "bool", "uint8", "int64"):
        if getattr(trt, name, None) == dtype:
            return np.dtype(name)
    raise Refused("tensors of type {} are not supported".format(dtype))
