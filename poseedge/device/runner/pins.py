"""Layers held in FP32 under weak typing."""

from typing import Any, Set

NEVER_PINNED = ("CONSTANT", "SHAPE", "CAST", "IDENTITY", "QUANTIZE", "DEQUANTIZE")  # precision means nothing to them


def pin(trt: Any, network: Any, names: Set[str]) -> int:
    """Hold the layers of these ONNX nodes in FP32; returns how many were found. The parser names layers after nodes."""
    never = {getattr(trt.LayerType, kind) for kind in NEVER_PINNED if hasattr(trt.LayerType, kind)}
    found = set()
    for index in range(network.num_layers if names else 0):
        layer = network.get_layer(index)
        if layer.name in names and layer.type not in never:
            layer.precision = trt.float32
            for output in range(layer.num_outputs):
                if layer.get_output(output).dtype in (trt.float32, trt.float16):  # TopK gives indices too
                    layer.set_output_type(output, trt.float32)
            found.add(layer.name)
    return len(found)
