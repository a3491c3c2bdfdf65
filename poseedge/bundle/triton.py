"""A model repository of NVIDIA's Triton Inference Server: ``NAME/config.pbtxt``, and ``NAME/1/model.onnx`` or ``model.plan``.

After Triton's documentation of model configurations and ``model_config.proto``: with ``max_batch_size`` above 0 the shapes leave
the batch out, which every tensor must have; with 0 they are whole, and -1 is free.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from onnx import TensorProto, ValueInfoProto

from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.files import atomic_write
from poseedge.graph.lifting import open_lifting

MARK = "# Written by poseedge; what was added by hand is lost when it is written again.\n"
PLATFORMS = {".onnx": "onnxruntime_onnx", ".engine": "tensorrt_plan", ".plan": "tensorrt_plan"}
FILES = {"onnxruntime_onnx": "model.onnx", "tensorrt_plan": "model.plan"}
TYPES: dict[int, str] = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.BOOL: "TYPE_BOOL",
}
LARGEST_BATCH = 64  # of a graph whose batch is free; a plan says its own


def add_model(repository: Path, graph: Path, model: Path | None = None, largest: int = LARGEST_BATCH, int64: bool = True) -> Path:
    """Write ``graph``, or the plan ``model`` that was built of it, into ``repository``; return the model's folder there.

    ``largest``: most windows in a call where the batch is free; ``int64``: it gives integers of 64 bits, as plans do from
    TensorRT 10 on. Raises ``PoseedgeError`` if a model of that name is there that poseedge did not write.
    """
    model = model or graph
    folder, platform = repository / graph.stem, PLATFORMS[model.suffix]
    check_place(folder)
    config = model_config(graph, platform, largest, int64)
    with atomic_write(folder / "1" / FILES[platform]) as temporary:
        shutil.copyfile(model, temporary)
    with atomic_write(folder / "config.pbtxt") as temporary:
        temporary.write_text(config)
    return folder


def check_places(repository: Path, model: str, precisions: Iterable[str]) -> None:
    """Raise ``PoseedgeError`` if ``repository`` holds somebody else's model where a graph of ``model`` belongs."""
    for precision in precisions:
        check_place(repository / f"{model}_{precision}")


def check_place(folder: Path) -> None:
    """Raise ``PoseedgeError`` if ``folder`` holds a model of somebody else's."""
    config = folder / "config.pbtxt"
    if folder.exists() and not (config.is_file() and config.read_text(errors="replace").startswith(MARK)):
        raise PoseedgeError(f"{folder}: is there, and poseedge did not write it", "choose another folder with --triton")


def model_config(graph: Path, platform: str, largest: int, int64: bool) -> str:
    """Return the text of ``config.pbtxt`` for the lifting graph at ``graph``."""
    model, spec = open_lifting(graph)
    inputs = [value for value in model.proto.graph.input if value.name in model.inputs]
    outputs = list(model.proto.graph.output)
    shapes = {value.name: dims_of(graph, value) for value in (*inputs, *outputs)}
    batched = spec.batch is None and all(len(dims) > 1 and dims[0] == -1 for dims in shapes.values())
    lines = [MARK, f'name: "{graph.stem}"\n', f'platform: "{platform}"\n', f"max_batch_size: {largest if batched else 0}\n"]
    for kind, values in (("input", inputs), ("output", outputs)):
        for value in values:
            dims = ", ".join(map(str, shapes[value.name][batched:]))
            lines += [f'{kind} {{\n  name: "{value.name}"\n  data_type: {type_of(graph, value, int64)}\n  dims: [ {dims} ]\n}}\n']
    return "".join([*lines, "dynamic_batching { }\n" if batched and largest > 1 else ""])


def dims_of(graph: Path, value: ValueInfoProto) -> list[int]:
    """Return a tensor's shape, -1 where it is free."""
    shape = value.type.tensor_type.shape
    if not shape.dim:
        raise ArtefactError(f"{graph}: does not state the shape of {value.name}", "export it again")
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in shape.dim]


def type_of(graph: Path, value: ValueInfoProto, int64: bool) -> str:
    """Return a tensor's type in Triton's words."""
    kind = value.type.tensor_type.elem_type
    if kind not in TYPES:
        raise ArtefactError(f"{graph}: {value.name} is of a type that has no name here", "export it again")
    return TYPES[TensorProto.INT32 if kind == TensorProto.INT64 and not int64 else kind]
