"""Every rule catches the graph that was made to break it, says what is wrong, and leaves good graphs alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from poseedge.arrays import AnyArray, Float32Array
from poseedge.graph.graph import Graph
from poseedge.targets.boards import load_target
from poseedge.targets.preflight import RULES, Finding, check_graph, passed
from tests.support import graphs, qdq_graphs, small_graphs
from tests.support.bad_graphs import BAD

DOCS = Path(__file__).parents[3] / "docs" / "targets.md"
DECOMPOSED_TARGETS = (
    "jetson-nano",
    "jetson-tx2-jp4.6.0",
    "jetson-xavier-nx",
    "jetson-agx-xavier-jp4.6",
    "jetson-orin-nano-jp5.1",
)
MODERN_TARGETS = ("default", "jetson-orin-nano", "jetson-orin-nx-jp6.0", "jetson-agx-orin-jp7.2.2", "jetson-thor", "cpu")


def found(model: onnx.ModelProto, target: str, outside: tuple[str, ...] = ()) -> dict[str, Finding]:
    return {finding.rule: finding for finding in reversed(check_graph(Graph(model, outside), load_target(target)))}


def test_every_rule_has_a_bad_graph() -> None:
    assert BAD.keys() == RULES.keys()


def test_every_rule_is_in_the_documentation() -> None:
    text = DOCS.read_text()
    assert [name for name, rule in RULES.items() if f"| `{name}` | {rule.severity} | {rule.summary[:-1]} |" not in text] == []


@pytest.mark.parametrize("name", BAD)
def test_rule_catches_the_graph_that_breaks_it(name: str) -> None:
    case = BAD[name]
    finding = found(case.model(), case.target, case.outside)[name]
    assert case.says in finding.message
    assert finding.severity == case.severity
    assert finding.fix
    assert finding.source
    assert RULES[name].summary.endswith(".")


@pytest.mark.parametrize("name", [name for name, case in BAD.items() if case.severity == "error"])
def test_an_error_means_that_the_check_is_not_passed(name: str) -> None:
    case = BAD[name]
    assert not passed(check_graph(Graph(case.model()), load_target(case.target)))


@pytest.mark.parametrize("name", [name for name, case in BAD.items() if case.severity != "error"])
def test_a_warning_alone_passes(name: str) -> None:
    case = BAD[name]
    assert passed([finding for finding in check_graph(Graph(case.model()), load_target(case.target)) if finding.rule == name])


@pytest.mark.parametrize(
    ("target", "newest", "says"),
    [
        ("jetson-nano", 7, "TensorRT 8.2 knows 7"),
        ("jetson-xavier-nx", 8, "TensorRT 8.5 knows 8"),
        ("default", 10, "TensorRT 10.3 knows 10"),
        ("jetson-thor-jp7.1", 10, "TensorRT 10.13 knows 10"),
        ("jetson-agx-orin-jp7.2.2", 12, "knows 12"),
        ("cpu", 9, "an ONNX Runtime for opset 20 knows 9 and refuses newer ones"),
        ("cpu-opset23", 11, "knows 11 and refuses"),
    ],
)
def test_file_format_is_judged_by_the_files_own_version_and_the_targets_runtime(target: str, newest: int, says: str) -> None:
    assert "ir-version" not in found(small_graphs.of_ir(newest), target)
    finding = found(small_graphs.of_ir(newest + 1), target)["ir-version"]
    assert f"IR version {newest + 1}" in finding.message
    assert says in finding.message
    assert f"model.ir_version = {newest}" in finding.fix


@pytest.mark.parametrize(
    ("target", "severity"),
    [
        ("jetson-agx-orin-jp5.0.2", "error"),  # TensorRT 8.4
        ("jetson-agx-orin-jp5.1", "warning"),  # 8.5
        ("jetson-agx-orin-jp6.0", "warning"),  # 8.6
        ("jetson-agx-orin-jp6.2", None),  # 10.3
        ("default", None),
    ],
)
def test_weights_stored_as_int8_are_refused_doubted_or_read(target: str, severity: str | None) -> None:
    finding = found(qdq_graphs.lone_weight(), target).get("dq-weights-alone")
    assert (finding and finding.severity) == severity


@pytest.mark.parametrize("target", MODERN_TARGETS)
def test_well_quantized_layer_is_left_alone(target: str) -> None:
    errors = [f for f in check_graph(Graph(qdq_graphs.quantized()), load_target(target)) if f.severity == "error"]
    assert errors == []


@pytest.mark.parametrize("target", ["jetson-thor-jp7.1", "jetson-orin-nano-jp7.2", "jetson-agx-orin-jp7.2.2"])
def test_layer_in_int8_and_fp16_is_left_alone_where_strongly_typed(target: str) -> None:
    assert check_graph(Graph(qdq_graphs.mixed()), load_target(target)) == []


@pytest.mark.parametrize("rule", ["qdq-axis", "qdq-narrow"])
def test_rules_on_quantized_layers_look_through_the_casts_of_a_mixed_graph(rule: str) -> None:
    model = qdq_graphs.mixed()
    weight, axis = (small_graphs.WEIGHT[:, :3], 1) if rule == "qdq-narrow" else (small_graphs.WEIGHT, 0)
    channels = np.ones(weight.shape[axis], np.float32)
    values: dict[str, AnyArray] = {"w": weight, "ws": channels, "wz": channels.astype(np.int8)}
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name], tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            attribute.i = axis if attribute.name == "axis" else attribute.i
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert rule in found(model, "jetson-thor")


@pytest.mark.slow
@pytest.mark.parametrize("target", DECOMPOSED_TARGETS)
def test_own_graph_of_opset_13_passes_where_norms_are_decomposed(target: str) -> None:
    assert check_graph(graphs.simplified(13)[0], load_target(target)) == []


@pytest.mark.parametrize("target", MODERN_TARGETS)
def test_own_graph_of_opset_17_passes_on_modern_targets(target: str) -> None:
    assert check_graph(graphs.simplified(17)[0], load_target(target)) == []


@pytest.mark.parametrize(
    ("operator", "target", "says"),
    [
        ("DFT", "jetson-agx-orin-jp7.2.2", "no release reads it"),
        ("Gelu", "jetson-orin-nano-jp6.0", "TensorRT reads it from 10.0 on"),
        ("Attention", "jetson-thor-jp7.1", "TensorRT reads it from 10.14 on"),
        ("STFT", "jetson-orin-nano", "TensorRT reads it from 10.5 on"),
        ("Einsum", "jetson-nano-jp4.6.0", "TensorRT reads it from 8.2 on"),
        ("MatMulInteger", "default", "no release reads it"),
        ("DynamicQuantizeLinear", "default", "no release reads it"),
        ("QLinearMatMul", "default", "no release reads it"),
    ],
)
def test_operator_that_the_target_lacks_is_named_with_a_fix_for(operator: str, target: str, says: str) -> None:
    finding = found(small_graphs.unary(operator, opset=23), target)["operator"]
    assert operator in finding.message
    assert says in finding.message
    assert finding.node == "bad"


def test_operator_between_two_tables_is_a_warning() -> None:
    assert found(small_graphs.unary("Hardmax"), "jetson-orin-nano")["operator"].severity == "warning"
    assert found(small_graphs.unary("Hardmax"), "jetson-xavier-nx")["operator"].severity == "error"


def test_dynamic_k_is_read_from_tensorrt_8_6_on() -> None:
    assert found(BAD["topk-dynamic"].model(), "jetson-orin-nano-jp6.0")["topk-dynamic"].severity == "warning"


def test_half_scales_are_for_strong_typing() -> None:
    assert found(BAD["qdq-scale-type"].model(), "jetson-thor")["qdq-scale-type"].severity == "note"


def test_missing_zero_point_means_uint8_and_tensorrt_10_reads_it_so() -> None:
    finding = found(qdq_graphs.quantized(zero=None), "jetson-orin-nano")
    assert "its default without a zero point" in finding["qdq-uint8"].message
    assert "qdq-zero-point" not in finding


def test_scales_that_do_not_fit_the_axis_are_told() -> None:
    model = qdq_graphs.quantized()
    for node in model.graph.node:
        if node.name in ("WQ", "WDQ"):
            node.attribute[0].i = 0
    assert "(48,) scales do not fit axis 0 of a weight (32, 48)" in found(model, "default")["qdq-axis"].message


def test_transposed_gemm_counts_its_output_channels_on_axis_0() -> None:
    layer = small_graphs.node("Gemm", ["d", "wd"], ["y"], name="layer", transB=1)
    assert "qdq-axis" not in found(qdq_graphs.quantized(small_graphs.WEIGHT.T.copy(), axis=0, layer=layer), "default")
    assert "qdq-axis" in found(qdq_graphs.quantized(small_graphs.WEIGHT.T.copy(), axis=1, layer=layer), "default")


def test_nameless_node_is_told_by_its_output() -> None:
    model = small_graphs.make_model([small_graphs.node("DFT", ["x"], ["y"])])
    assert found(model, "default")["operator"].node == "y"


def test_errors_come_first() -> None:
    severities = [
        finding.severity for finding in check_graph(Graph(small_graphs.unary("DFT", opset=20)), load_target("jetson-nano"))
    ]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)


class Windows(CalibrationDataReader):  # type: ignore[misc]
    """The reference windows, one by one."""

    def __init__(self) -> None:
        self.left = iter(graphs.windows())

    def get_next(self) -> dict[str, Float32Array] | None:
        window = next(self.left, None)
        return None if window is None else {"keypoints": window[None]}


@pytest.mark.slow
def test_graph_quantized_by_onnx_runtime_s_defaults_is_refused_with_every_reason(tmp_path: Path) -> None:
    onnx.save(graphs.simplified(17)[0].proto, tmp_path / "float.onnx")
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", Windows(), per_channel=True)
    rules = {finding.rule for finding in check_graph(Graph.load(tmp_path / "int8.onnx"), load_target("jetson-orin-nano"))}
    assert {"qdq-asymmetric", "qdq-int32-bias", "qdq-float-operator"} <= rules
