"""Where an artefact spends its time: the nodes that the runtime made of the graph, and the ONNX nodes that they stand for."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseedge.bench.results import LayerCost
from poseedge.caches import CachedLifter
from poseedge.lifter import Lifter, random_keypoints

if TYPE_CHECKING:
    from onnx import NodeProto

    from poseedge.graph.graph import Graph

RUNS = 50
SETTLE = 10  # runs before those that count
KERNEL = "_kernel_time"


def layer_costs(lifter: Lifter) -> list[LayerCost] | None:
    """Return the cost of each node of an ONNX file in ONNX Runtime on the CPU, or of an engine's layers; None of others.

    A streaming form, whose inputs are not windows alone, has none either.
    """
    if isinstance(lifter, CachedLifter):
        return None
    if lifter.backend == "onnxruntime":
        return onnxruntime_layers(lifter)
    if lifter.backend == "tensorrt":
        from poseedge.engines.layer_times import profile_engine

        layers = profile_engine(lifter.path, RUNS)
        return [LayerCost(name=x.layer, kind=x.kind, mean_ms=x.mean_ms, share=x.share, nodes=list(x.nodes)) for x in layers]
    return None


def onnxruntime_layers(lifter: Lifter) -> list[LayerCost]:
    """Return what ONNX Runtime's own profile says, in the order of execution. Profiling costs time at every node.

    Nodes without a name are given one: a profile tells nodes by their names.
    """
    import onnx

    from poseedge.backends.onnxruntime import CPU, open_provider_session
    from poseedge.graph.graph import Graph
    from poseedge.graph.session import session_options

    source = Graph.load(lifter.path)
    with tempfile.TemporaryDirectory() as folder:
        path = lifter.path
        if unnamed := [node for node in source.nodes if not node.name]:
            for node in unnamed:
                node.name = f"{node.op_type} of {node.output[0]}"
            path = Path(folder) / lifter.path.name
            onnx.save(source.proto, path)
        options = session_options(threads=1)
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        session = open_provider_session(path, 1, CPU, options=options)
        feed = {session.get_inputs()[0].name: random_keypoints(lifter.spec, 1)}
        for _ in range(SETTLE + RUNS):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
        made = onnx.load(options.optimized_model_filepath)
    return costs(events, list(made.graph.node), source)


def costs(events: Iterable[dict[str, Any]], made: list[NodeProto], source: Graph) -> list[LayerCost]:
    """Return one cost for each node of a profile: ``made`` are the nodes of the optimized graph, ``source`` is the file."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            spent[event["name"].removesuffix(KERNEL), event["args"]["op_name"]].append(event["dur"] / 1e3)
    means = {key: statistics.fmean(times[SETTLE:] or times) for key, times in spent.items()}
    total = sum(means.values()) or 1.0
    stands_for = origins(made, source)
    return [
        LayerCost(name=name, kind=kind, mean_ms=mean, share=mean / total, nodes=stands_for.get(name, []))
        for (name, kind), mean in means.items()
    ]


def origins(made: list[NodeProto], source: Graph) -> dict[str, list[str]]:
    """Return, for each node of an optimized graph, the nodes of ``source`` between its inputs and its outputs.

    A runtime keeps the names of the tensors that remain; what lies between two of them is what a fused node computes.
    """
    kept = {name for node in made for name in (*node.input, *node.output) if name}
    by_name = {node.name: node for node in source.nodes}
    found = {}
    for node in made:
        between: dict[int, NodeProto] = {}
        wanted = [name for name in node.output if name in source.makers]
        while wanted:
            maker = source.makers[wanted.pop()]
            if id(maker) not in between:
                between[id(maker)] = maker
                wanted += [name for name in maker.input if name in source.makers and name not in kept]
        if not between and node.name in by_name:
            between = {0: by_name[node.name]}
        found[node.name] = [each.name for each in reversed(between.values())]
    return found
