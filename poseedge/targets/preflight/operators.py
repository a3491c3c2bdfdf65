"""Rules on operators: which ones the target's parser reads, and in which form."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from poseedge.graph.graph import Graph
from poseedge.graph.nodes import attribute
from poseedge.targets.boards import Target, fix_for, operator_table, support
from poseedge.targets.preflight.rules import Issue, rule

TABLES = "onnx-tensorrt docs/operators.md, releases 8.0 to 11.1"
TOPK_LIMIT = 3840
STANDARD = ("", "ai.onnx")
BUILD_TIME = "fold the constants (onnxsim), or fix the sizes at export: poseedge export does both"


@rule("opset", "error", "onnx-tensorrt docs/operators.md")
def opset(graph: Graph, target: Target) -> Iterator[Issue]:
    """The opset lies within what the parser reads."""
    oldest, newest = target.releases[0], target.releases[-1]
    low, high = max(oldest.opsets[0], newest.opsets[0]), min(oldest.opsets[1], newest.opsets[1])
    if not low <= graph.opset <= high:
        fix = f"export at opset {target.opset}: poseedge export --target {target.name}"
        message = f"the graph is opset {graph.opset}; TensorRT {oldest.version} reads {low} to {high}"
        yield Issue("", message, fix, source=oldest.source)


@rule("ir-version", "warning", "onnx.helper.VERSION_TABLE", runtime="any")
def ir_version(graph: Graph, target: Target) -> Iterator[Issue]:
    """The file format is no newer than the target's runtime knows."""
    found, known = graph.proto.ir_version, target.newest_ir
    if found <= known:
        return
    fix = f"set model.ir_version = {known} and save it again, if its opset ({graph.opset}) is no newer; our exports are so"
    if not target.releases:
        message = (
            f"the file is of IR version {found}; an ONNX Runtime for opset {target.opset} knows {known} and refuses newer ones"
        )
        yield Issue("", message, fix)
        return
    oldest = min(target.releases, key=lambda release: release.ir)
    message = f"the file is of IR version {found}; TensorRT {oldest.version} knows {known}, warns, and may misread what is newer"
    yield Issue("", message, fix, source=oldest.ir_source)


@rule("operator", "error", TABLES)
def known_operator(graph: Graph, target: Target) -> Iterator[Issue]:
    """The parser reads every operator."""
    release = target.releases[0]
    for node in graph.nodes:
        if node.domain not in STANDARD:
            continue
        answer = support(node.op_type, release)
        entry = operator_table().get(node.op_type)
        if answer == "no":
            since = f"; TensorRT reads it from {entry.since} on" if entry else "; no release reads it"
            message = f"TensorRT {release.version} does not read {node.op_type}{since}"
            yield Issue(node, message, fix_for(node.op_type), source=entry.source if entry else TABLES)
        elif answer == "unknown" and entry:
            message = (
                f"{node.op_type} is read from TensorRT {entry.since} on at the latest, and not by {entry.absent}; "
                f"whether {release.version} reads it is unconfirmed"
            )
            yield Issue(node, message, f"try it on the device, or {fix_for(node.op_type)}", "warning", entry.source)


@rule("custom-operator", "error", "onnx-tensorrt: an operator of another domain needs a plugin")
def custom_operator(graph: Graph, target: Target) -> Iterator[Issue]:
    """Every operator is a standard one."""
    for node in graph.nodes:
        if node.domain in STANDARD:
            continue
        fix = "write it with standard operators"
        if node.domain.startswith("com.microsoft"):
            fix = "save the graph before ONNX Runtime optimizes it (quant_pre_process: skip_optimization=True)"
        yield Issue(node, f"{node.domain}.{node.op_type} is no standard operator", fix)


@rule("layer-norm-outputs", "error", "onnx-tensorrt docs/operators.md 10.x: only the first output")
def layer_norm_outputs(graph: Graph, target: Target) -> Iterator[Issue]:
    """LayerNormalization gives its result alone, not mean and deviation."""
    for node in graph.of("LayerNormalization"):
        if any(node.output[1:]):
            yield Issue(node, "mean or deviation of LayerNormalization is read", "compute them with ReduceMean")


@rule("attention-form", "error", "onnx-tensorrt docs/operators.md 10.15")
def attention_form(graph: Graph, target: Target) -> Iterator[Issue]:
    """The Attention operator has four-dimensional q, k and v, and neither cache nor softcap."""
    for node in graph.of("Attention"):
        ranks = {len(graph.shapes[name]) for name in node.input[:3] if name in graph.shapes}
        cached = any(node.input[4:]) or any(node.output[1:])
        if ranks - {4} or cached or attribute(node, "softcap", 0.0):
            message = (
                "this form of Attention is not read: q, k and v must have four dimensions, without past, present and softcap"
            )
            yield Issue(node, message, fix_for("Attention"))


@rule("einsum-form", "error", "onnx-tensorrt docs/operators.md 8.2-GA to 8.6-GA")
def einsum_form(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 10, Einsum has no ellipsis, no repeated label in a term, and does not broadcast."""
    if target.oldest >= (10,):
        return
    for node in graph.of("Einsum"):
        terms = attribute(node, "equation", "").replace(" ", "").split("->")[0].split(",")
        sizes: dict[str, set[int]] = {}
        for term, name in zip(terms, node.input, strict=False):
            for letter, size in zip(term, graph.shapes.get(name, ()), strict=False):
                sizes.setdefault(letter, set()).add(size)
        diagonal = any(len(set(term)) < len(term) for term in terms)
        if "..." in "".join(terms) or diagonal or any(len(found) > 1 for found in sizes.values()):
            message = f"Einsum {','.join(terms)} has an ellipsis, a diagonal or broadcasting"
            yield Issue(node, message, fix_for("Einsum"))


@rule("scatter-form", "error", "onnx-tensorrt docs/operators.md 10.15: ScatterND takes no reduction")
def scatter_form(graph: Graph, target: Target) -> Iterator[Issue]:
    """Scattering replaces values, it does not reduce them."""
    for node in graph.of("ScatterND"):
        if (reduction := attribute(node, "reduction", "none")) != "none":
            yield Issue(node, f"ScatterND with reduction {reduction} is not read", "write it as a product with a constant matrix")


@rule("scatter-plugin", "warning", "onnx-tensorrt importer sources 10.0 on; plugin version 2 from 10.3")
def scatter_plugin(graph: Graph, target: Target) -> Iterator[Issue]:
    """ScatterElements is a plugin in TensorRT 10 and needs the plugin library at build and load time."""
    if target.newest < (10,):
        return
    for node in graph.of("ScatterElements"):
        fix = (
            "call trt.init_libnvinfer_plugins before parsing and before loading the plan (poseedge does), or use Gather and Where"
        )
        yield Issue(node, "ScatterElements is imported as a plugin", fix)


@rule("negative-indices", "error", "onnx-tensorrt docs/operators.md 8.0: positive indices only")
def negative_indices(graph: Graph, target: Target) -> Iterator[Issue]:
    """TensorRT 8.0 gathers elements by positive indices alone."""
    if target.oldest >= (8, 2):
        return
    for node in graph.of("GatherElements"):
        values = graph.value(node.input[1])
        if values is not None and (values < 0).any():
            yield Issue(node, "GatherElements has negative indices", "write them as positive ones, or install JetPack 4.6.1")


@rule("topk-dynamic", "error", "onnx-tensorrt importer of TopK, 8.2 to 8.5")
def topk_dynamic(graph: Graph, target: Target) -> Iterator[Issue]:
    """How many TopK keeps is a constant."""
    for node in graph.of("TopK"):
        if len(node.input) > 1 and node.input[1] not in graph.constant:
            old = target.oldest < (8, 6)
            message = "K of TopK is computed at run time" + ("" if old else ", so every shape after it is dynamic")
            yield Issue(node, message, f"make K a constant; {BUILD_TIME}", "error" if old else "warning")


@rule("topk-limit", "error", "NvInfer.h 8.2.1 to 11.1, addTopK")
def topk_limit(graph: Graph, target: Target) -> Iterator[Issue]:
    """TopK keeps at most 3840 elements."""
    for node in graph.of("TopK"):
        kept = graph.value(node.input[1]) if len(node.input) > 1 else None
        if kept is not None and int(kept.max()) > TOPK_LIMIT:
            yield Issue(node, f"TopK keeps {int(kept.max())}, TensorRT at most {TOPK_LIMIT}", "keep fewer, or sort in parts")


@rule("topk-integers", "error", "onnx-tensorrt importer of TopK, 8.2 to 8.5")
def topk_integers(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 8.6, TopK compares floats alone."""
    if target.oldest >= (8, 6):
        return
    for node in graph.of("TopK"):
        if graph.types.get(node.input[0]) in (TensorProto.INT32, TensorProto.INT64):
            yield Issue(node, "TopK compares integers", "cast to float32 before TopK")


@rule("topk-sorted", "error", "onnx-tensorrt docs/operators.md 10.1 on: sorted must be 1")
def topk_sorted(graph: Graph, target: Target) -> Iterator[Issue]:
    """From TensorRT 10.1 on, TopK sorts what it keeps."""
    if target.newest < (10, 1):
        return
    for node in graph.of("TopK"):
        if attribute(node, "sorted", 1) != 1:
            yield Issue(node, "TopK with sorted = 0 is not read", "leave sorted at 1, and sort the indices where order matters")


@rule("constant-axes", "error", "onnx-tensorrt importer sources 8.2 to 8.6, docs/operators.md 10.15")
def constant_axes(graph: Graph, target: Target) -> Iterator[Issue]:
    """The axes of reductions, Squeeze, Unsqueeze and CumSum are constants."""
    for node in graph.nodes:
        takes_axes = node.op_type.startswith("Reduce") or node.op_type in ("Squeeze", "Unsqueeze", "CumSum")
        if takes_axes and len(node.input) > 1 and node.input[1] and node.input[1] not in graph.constant:
            yield Issue(node, f"the axes of {node.op_type} are computed at run time", BUILD_TIME)


@rule("integer-reduction", "error", "onnx-tensorrt docs/operators.md: integer types from 10.x on")
def integer_reduction(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 10, reductions take floats alone."""
    if target.oldest >= (10,):
        return
    for node in graph.nodes:
        integers = graph.types.get(node.input[0] if node.input else "") in (TensorProto.INT32, TensorProto.INT64)
        if node.op_type.startswith("Reduce") and integers and node.input[0] not in graph.constant:
            yield Issue(node, f"{node.op_type} of integers is not read", "cast to float32 before it")


@rule("boolean-gather", "error", "onnx-tensorrt docs/operators.md: BOOL from 8.5 on")
def boolean_gather(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 8.5, nothing gathers booleans."""
    if target.oldest >= (8, 5):
        return
    for node in graph.of("Gather", "GatherElements", "GatherND"):
        if graph.types.get(node.input[0]) == TensorProto.BOOL:
            yield Issue(node, f"{node.op_type} of booleans is not read", "cast to float32 before it")


@rule("pooling-indices", "error", "onnx-tensorrt docs/operators.md: the Indices output is unsupported")
def pooling_indices(graph: Graph, target: Target) -> Iterator[Issue]:
    """MaxPool gives values, not places."""
    for node in graph.of("MaxPool"):
        if any(node.output[1:]):
            yield Issue(node, "the indices of MaxPool are read", "find them with ArgMax")


@rule("control-flow", "warning", "onnx-tensorrt docs/operators.md: If, Loop and Scan with restrictions")
def control_flow(graph: Graph, target: Target) -> Iterator[Issue]:
    """The graph is straight-line: no If, Loop or Scan."""
    for node in graph.of("If", "Loop", "Scan"):
        message = f"{node.op_type} keeps TensorRT from fusing across it; what it holds inside is not checked"
        yield Issue(node, message, "decide at export: trace the network at fixed sizes, as poseedge export does")
