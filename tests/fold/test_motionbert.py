"""What MotionBERT's fold alone promises."""

from __future__ import annotations

from tests.support.networks import exported


def test_streams_are_fused_by_one_gate_instead_of_a_softmax() -> None:
    kinds = [node.op_type for node in exported("motionbert-f27", 17).nodes]
    assert kinds.count("Sigmoid") == 2  # levels
    assert kinds.count("Softmax") == 2 * 4  # attention alone
