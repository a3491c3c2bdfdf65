"""Layers held in FP32 under weak typing."""

from typing import Any, Dict

NEVER_PINNED = ("CONSTANT", "SHAPE", "CAST", "IDENTITY", "QUANTIZE", "DEQUANTIZE")  # precision means nothing to them


def pin(trt: Any, network: Any, makers: Dict[str, str]) -> int:
    """Hold layers in FP32; ``makers`` gives the ONNX node of each tensor that a node to be held makes.

    Returns how many nodes were found. The parser names layers after nodes, but for LayerNormalization in 8.6, which it leaves
    unnamed: there the tensor tells.
    """
    never = {getattr(trt.LayerType, kind) for kind in NEVER_PINNED if hasattr(trt.LayerType, kind)}
    nodes, found = set(makers.values()), set()
    for index in range(network.num_layers if nodes else 0):
        layer = network.get_layer(index)
        outputs = [layer.get_output(number) for number in range(layer.num_outputs)]
        node = layer.name if layer.name in nodes else next((makers[out.name] for out in outputs if out.name in makers), None)
        if node is None or layer.type in never:
            continue
        layer.precision = trt.float32
        for number, output in enumerate(outputs):
            if output.dtype in (trt.float32, trt.float16):  # TopK gives indices too
                layer.set_output_type(number, trt.float32)
        found.add(node)
    return len(found)
