"""Targets are data: every board with every TensorRT that its JetPacks brought, and every fact with its source."""

from __future__ import annotations

import pytest
from onnx.helper import VERSION_TABLE

from poseedge.errors import PoseedgeError
from poseedge.targets.boards import DECOMPOSED, boards, facts, load_target, operator_table, releases, support, targets


def test_every_fact_names_sources_that_are_told() -> None:
    entries = [*facts("boards").values(), *facts("jetpacks").values()]
    named = {key for entry in entries for key in entry.get("sources", [])}
    assert named
    assert named <= facts("sources").keys()
    assert all(board.sources for board in boards().values())


@pytest.mark.parametrize("name", sorted(targets()))
def test_target_writes_an_opset_that_all_its_releases_read(name: str) -> None:
    target = load_target(name)
    assert all(release.opsets[0] <= target.opset <= release.opsets[1] for release in target.releases)
    assert all(release.source and release.ir_source for release in target.releases)
    assert min(row[1] for row in VERSION_TABLE if row[2] >= target.opset) <= target.newest_ir  # the format that goes with it
    assert "fp32" in target.precisions
    assert target.why


@pytest.mark.parametrize("name", sorted(boards()))
def test_plain_name_of_a_board_is_the_one_with_its_usual_jetpack(name: str) -> None:
    plain, full = load_target(name), load_target(f"{name}-jp{boards()[name].jetpack}")
    assert plain.model_copy(update={"name": full.name}) == full


@pytest.mark.parametrize("name", sorted(targets()))
def test_norms_are_decomposed_where_tensorrt_has_no_operator_for_them(name: str) -> None:
    target = load_target(name)
    one_operator = all(support("LayerNormalization", release) == "yes" for release in target.releases)
    assert (target.opset == DECOMPOSED) == (not one_operator)


@pytest.mark.parametrize(("name", "reason"), [("jetson-nano", "Maxwell"), ("jetson-tx2", "Pascal")])
def test_boards_without_int8_say_why(name: str, reason: str) -> None:
    target = load_target(name)
    assert (target.opset, target.precisions) == (13, ["fp32", "fp16"])
    assert reason in target.refusal("int8")


@pytest.mark.parametrize(
    ("name", "mixed"),
    [
        ("jetson-thor", True),
        ("jetson-thor-jp7.1", True),
        ("jetson-orin-nano-jp7.2", True),
        ("jetson-agx-orin-jp7.2.2", True),
        ("jetson-orin-nano", False),
        ("jetson-xavier-nx", False),
        ("default", False),
        ("cpu", False),
    ],
)
def test_int8_and_fp16_in_one_graph_is_for_strong_typing(name: str, mixed: bool) -> None:
    target = load_target(name)
    assert ("int8-fp16" in target.precisions) is mixed
    assert "10.12 and later" in target.refusal("int8-fp16")


def test_board_without_int8_has_none_in_half_precision_either() -> None:
    assert "Maxwell" in load_target("jetson-nano").refusal("int8-fp16")


@pytest.mark.parametrize(
    ("name", "tensorrt", "opset"),
    [
        ("jetson-nano", "8.2.1", 13),
        ("jetson-xavier-nx", "8.5.2", 13),
        ("jetson-agx-xavier-jp4.6", "8.2.1", 13),
        ("jetson-orin-nano", "10.3.0", 17),
        ("jetson-orin-nano-super", "10.3.0", 17),
        ("jetson-orin-nx-jp6.0", "8.6.2", 17),
        ("jetson-agx-orin-jp7.2.2", "11.4.1", 17),
        ("jetson-thor", "10.16.2", 17),
    ],
)
def test_jetpack_line_brings_its_tensorrt(name: str, tensorrt: str, opset: int) -> None:
    target = load_target(name)
    assert target.jetpack is not None
    assert (target.jetpack.tensorrt, target.opset) == (tensorrt, opset)


def test_general_targets_are_no_boards() -> None:
    assert load_target("cpu").releases == []
    assert [release.version for release in load_target("default").releases] == ["10.3", "11.4"]


@pytest.mark.parametrize("name", sorted(boards()))
def test_peaks_follow_from_cores_and_clock(name: str) -> None:
    board = boards()[name]
    cores = {"5.3": 128, "6.2": 128, "7.2": 64, "8.7": 128, "11.0": 128}[board.sm] * board.sm_count
    assert board.fp32_tflops == pytest.approx(cores * 2 * board.gpu_mhz / 1e6, rel=0.03)
    assert (board.int8_tops is None) == ("int8" not in board.formats) == bool(board.without_int8)
    if board.int8_tops:
        assert board.int8_tops == pytest.approx(2 * board.fp16_tflops, rel=0.01)


def test_super_configuration_is_the_same_board_faster() -> None:
    plain, fast = boards()["jetson-orin-nano"], boards()["jetson-orin-nano-super"]
    assert (fast.sm, fast.sm_count) == (plain.sm, plain.sm_count)
    assert (fast.memory_gb_s, fast.int8_tops) == (102, 33.4)


@pytest.mark.parametrize(
    ("operator", "version", "answer"),
    [
        ("LayerNormalization", "8.5", "no"),
        ("LayerNormalization", "8.6", "yes"),
        ("Gelu", "8.6", "no"),
        ("Gelu", "10.3", "yes"),
        ("Attention", "10.13", "no"),
        ("Attention", "10.16", "yes"),
        ("DFT", "11.4", "no"),
        ("Hardmax", "8.5", "no"),
        ("Hardmax", "10.3", "unknown"),
        ("MatMul", "8.0", "yes"),
    ],
)
def test_operator_is_read_since_its_release(operator: str, version: str, answer: str) -> None:
    assert support(operator, releases()[version]) == answer


def test_no_operator_stands_in_two_tables() -> None:
    names = [name for entry in facts("tensorrt")["operators"] for name in entry["names"].split()]
    assert len(names) == len(operator_table())


def test_unknown_target_suggests_the_nearest() -> None:
    with pytest.raises(PoseedgeError, match="unknown target 'jetson-nanno'") as caught:
        load_target("jetson-nanno")
    assert caught.value.hint.startswith("did you mean 'jetson-nano'?")


def test_unknown_jetpack_lists_those_of_the_board() -> None:
    with pytest.raises(PoseedgeError) as caught:
        load_target("jetson-orin-nano-jp5")
    assert "jetson-orin-nano-jp5.1, jetson-orin-nano-jp6.0" in caught.value.hint
    assert "xavier" not in caught.value.hint
