"""A model repository for Triton is what its documentation and its schema say, and nobody's model is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from onnx import TensorProto, helper

from poseedge.bundle.triton import add_model
from poseedge.errors import ArtefactError, PoseedgeError
from tests.support.engines import write_graph

# Of model_config.proto (triton-inference-server/common), as tritonclient 2.73 carries it: what is used here.
DATA_TYPES = {"TYPE_INVALID": 0, "TYPE_BOOL": 1, "TYPE_INT32": 8, "TYPE_INT64": 9, "TYPE_FP16": 10, "TYPE_FP32": 11}
MESSAGES = {
    "ModelInput": [("name", 1, "string"), ("data_type", 2, "DataType"), ("dims", 4, "int64*")],
    "ModelOutput": [("name", 1, "string"), ("data_type", 2, "DataType"), ("dims", 3, "int64*")],
    "ModelDynamicBatching": [],
    "ModelConfig": [
        ("name", 1, "string"),
        ("platform", 2, "string"),
        ("max_batch_size", 4, "int32"),
        ("input", 5, "ModelInput*"),
        ("output", 6, "ModelOutput*"),
        ("dynamic_batching", 11, "ModelDynamicBatching"),
    ],
}
PLAIN = {"string": 9, "int32": 5, "int64": 3}


def schema() -> Any:
    """Return the class that the text of a configuration is parsed into."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for name, number in DATA_TYPES.items():
        kinds.value.add(name=name, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            plain = kind.rstrip("*")
            added = message.field.add(name=field, number=number, label=3 if kind.endswith("*") else 1)
            added.type = PLAIN.get(plain, 14 if plain == "DataType" else 11)
            if plain not in PLAIN:
                added.type_name = f".inference.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def triton_schema() -> Any:
    """Return Triton's own class, where its client is installed."""
    return pytest.importorskip("tritonclient.grpc.model_config_pb2").ModelConfig


@pytest.fixture(params=[schema, triton_schema], ids=["known fields", "tritonclient"])
def parse(request: pytest.FixtureRequest) -> Any:
    """Return a function from a model's folder to its configuration."""
    kind = request.param()
    return lambda folder: text_format.Parse((folder / "config.pbtxt").read_text(), kind())


def told(values: Any) -> list[tuple[str, int, list[int]]]:
    return [(value.name, value.data_type, list(value.dims)) for value in values]


def free_poses(path: Path) -> Path:
    """Write a graph with a free batch that gives poses alone."""
    model = onnx.load(write_graph(path, batch="batch"))
    del model.graph.output[1:]
    onnx.save(model, path)
    return path


def test_a_free_batch_is_batched_by_triton(tmp_path: Path, parse: Any) -> None:
    graph = free_poses(tmp_path / "lifter_fp32.onnx")
    folder = add_model(tmp_path / "models", graph)
    config = parse(folder)
    assert (config.name, folder.name) == ("lifter_fp32", "lifter_fp32")
    assert (config.platform, config.max_batch_size) == ("onnxruntime_onnx", 64)
    assert told(config.input) == [("keypoints", DATA_TYPES["TYPE_FP32"], [9, 17, 2])]
    assert told(config.output) == [("poses", DATA_TYPES["TYPE_FP32"], [3, 17, 3])]
    assert config.HasField("dynamic_batching")
    assert (folder / "1" / "model.onnx").read_bytes() == graph.read_bytes()


def test_a_fixed_batch_stands_in_the_shapes(tmp_path: Path, parse: Any) -> None:
    config = parse(add_model(tmp_path / "models", write_graph(tmp_path / "small.onnx")))
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (0, False)
    assert told(config.input) == [("keypoints", DATA_TYPES["TYPE_FP32"], [1, 9, 17, 2])]
    assert told(config.output)[1] == ("selected", DATA_TYPES["TYPE_INT64"], [3])


def test_tensors_without_the_batch_leave_it_to_the_caller(tmp_path: Path, parse: Any) -> None:
    config = parse(add_model(tmp_path / "models", write_graph(tmp_path / "small.onnx", batch="batch")))
    assert config.max_batch_size == 0
    assert [dims for _, _, dims in told([*config.input, *config.output])] == [[-1, 9, 17, 2], [-1, 3, 17, 3], [3]]


def test_a_plan_takes_the_place_of_its_graph(tmp_path: Path, parse: Any) -> None:
    graph, plan = free_poses(tmp_path / "small.onnx"), tmp_path / "small.engine"
    plan.write_bytes(b"plan")
    add_model(tmp_path / "models", graph)
    folder = add_model(tmp_path / "models", graph, plan, largest=8)
    assert (parse(folder).platform, parse(folder).max_batch_size) == ("tensorrt_plan", 8)
    assert (folder / "1" / "model.plan").read_bytes() == b"plan"
    assert not parse(add_model(tmp_path / "models", graph, plan, largest=1)).HasField("dynamic_batching")


def test_integers_of_a_plan_before_tensorrt_10_are_of_32_bits(tmp_path: Path, parse: Any) -> None:
    config = parse(add_model(tmp_path / "models", write_graph(tmp_path / "small.onnx"), int64=False))
    assert told(config.output)[1] == ("selected", DATA_TYPES["TYPE_INT32"], [3])


def test_a_model_that_poseedge_did_not_write_is_kept(tmp_path: Path) -> None:
    config = tmp_path / "models" / "small" / "config.pbtxt"
    config.parent.mkdir(parents=True)
    config.write_text('name: "small"\n')
    with pytest.raises(PoseedgeError, match="is there, and poseedge did not write it"):
        add_model(tmp_path / "models", write_graph(tmp_path / "small.onnx"))
    assert config.read_text() == 'name: "small"\n'


def test_what_has_no_shape_or_no_name_at_triton_is_refused(tmp_path: Path) -> None:
    model = onnx.load(write_graph(tmp_path / "small.onnx"))
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info("selected", TensorProto.INT64, None))
    onnx.save(model, tmp_path / "small.onnx")
    with pytest.raises(ArtefactError, match="does not state the shape of selected"):
        add_model(tmp_path / "models", tmp_path / "small.onnx")
    assert not (tmp_path / "models").exists()
