"""How TensorRT is told about precision."""

from typing import Any, Dict, NamedTuple, Tuple

PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")
MIXED = "int8-fp16"  # INT8 products in a half-precision graph, for TensorRT where strongly typed
NO_INT8 = {(5, 3): "Jetson Nano", (6, 2): "Jetson TX2"}  # compute capabilities without INT8 hardware
OBEY = "OBEY_PRECISION_CONSTRAINTS"
# What stays in FP32 beside FP16 and INT8 must be FP32: TF32 has FP16's mantissa, and is on from the start.
ALWAYS_OFF = ("TF32",)


class Route(NamedTuple):
    """How this TensorRT is told about precision."""

    typing: str  # "strong": strongly typed; "weak": builder flags allow lower ones
    network_flags: int
    enable: Tuple[str, ...]  # builder flags
    disable: Tuple[str, ...]


def strongly_typed(trt: Any) -> bool:
    """Say whether strong typing is complete in this TensorRT (from 10.12) or the only way (from 11)."""
    # A call that came with 10.13 marks the versions of the Jetsons where strong typing is complete.
    return hasattr(trt.Builder, "build_serialized_network_to_stream") or not hasattr(trt.BuilderFlag, "FP16")


def suited(trt: Any, precision: str, held: Any) -> str:
    """Return which of the graphs ``held`` to take: with strong typing the rest of a plain INT8 graph would run in FP32."""
    return MIXED if precision == "int8" and MIXED in held and strongly_typed(trt) else precision


def basic_route(trt: Any, precision: str) -> Route:
    """Choose by what this TensorRT has: strong typing wherever it is complete."""
    return strong_route(trt) if strongly_typed(trt) else weak_route(trt, precision)


def strong_route(trt: Any) -> Route:
    """The network is strongly typed; without the flags for weak typing that is so anyway."""
    optional = hasattr(trt.BuilderFlag, "FP16")
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if optional else 0
    return Route("strong", flags, (), ALWAYS_OFF)


def weak_route(trt: Any, precision: str) -> Route:
    """Builder flags say what is allowed; 8.x parses no ONNX without EXPLICIT_BATCH, 10.x ignores it."""
    enable: Dict[str, Tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    return Route("weak", flags, enable[precision], ALWAYS_OFF)
