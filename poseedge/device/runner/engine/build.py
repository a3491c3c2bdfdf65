"""From graph to plan."""

from pathlib import Path
from typing import Any, List

from poseedge.device.runner.engine.log import parser_words
from poseedge.device.runner.engine.pins import pin
from poseedge.device.runner.engine.routes import Route
from poseedge.device.runner.words import Refused, note
from poseedge.onnx_file import makers_of


def build_plan(trt: Any, log: Any, graph: Path, route: Route, pinned: List[str], workspace_mib: int) -> bytes:
    """Return the serialized engine of ``graph`` with the nodes ``pinned`` held in FP32."""
    builder = trt.Builder(log)
    network = builder.create_network(route.network_flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        raise Refused("{}: TensorRT {} cannot read it: {}".format(graph, trt.__version__, parser_words(parser, graph, log)))
    found = pin(trt, network, makers_of(graph.read_bytes(), pinned)) if pinned else 0
    if found < len(pinned):
        note("only {} of {} nodes that should stay in FP32 were found".format(found, len(pinned)))
    config = builder.create_builder_config()
    for name in route.enable:
        config.set_flag(getattr(trt.BuilderFlag, name))
    for name in route.disable:
        config.clear_flag(getattr(trt.BuilderFlag, name))
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    else:
        config.max_workspace_size = workspace_mib << 20
    if hasattr(config, "max_aux_streams"):
        config.max_aux_streams = 0  # one stream, so that its events see all of the work
    add_profile(builder, network, config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        hint = "a larger --workspace-mib may help"
        raise Refused("{}: TensorRT {} cannot build it ({}): {}".format(graph, trt.__version__, hint, log.words()))
    return bytes(plan)


def add_profile(builder: Any, network: Any, config: Any) -> None:
    """Fix a free batch at one window."""
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if -1 in shape:
            profile = builder.create_optimization_profile()
            one = (1, *shape[1:])
            profile.set_shape(tensor.name, one, one, one)
            if config.add_optimization_profile(profile) < 0:
                raise Refused("TensorRT refuses the shape {} for input {}".format(one, tensor.name))
