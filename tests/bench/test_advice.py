"""The fastest that keeps the limits is named, with its reason; where nothing does, the nearest."""

from __future__ import annotations

from typing import Any

import pytest

from poseedge.bench.advice import ShippingLimits, pareto, recommend
from poseedge.bench.results import Accuracy, Row
from poseedge.errors import PoseedgeError
from tests.support import samples


def measured(p50: float, delta: float, jitter: float = 1.0, **changes: Any) -> Row:
    """Return a row whose accuracy was measured: MPJPE 40 mm and ``delta``."""
    known = dict.fromkeys(Accuracy.model_fields, None) | {
        **{"dataset": "sample", "keypoints": "gt", "frames": 10, "reference": "torch", "mpjpe_mm": 40 + delta},
        **{"delta_mpjpe_mm": delta, "overlap_mpjpe_mm": 39 + delta, "overlap_jitter_ratio": jitter},
    }
    accuracy = Accuracy.model_validate(known)
    return samples.row(p50, mpjpe_mm=40 + delta, delta_mpjpe_mm=delta, accuracy=accuracy, **changes)


ROWS = [
    measured(3.0, 0.0, backend="torch"),
    measured(1.5, 0.0),
    measured(1.0, 0.3, jitter=1.8, precision="int8"),
    measured(0.8, 2.0, jitter=4.0, precision="int8", backend="openvino"),
]


def test_fastest_within_the_budget_is_recommended() -> None:
    advice = recommend(ROWS, ShippingLimits(0.5))
    assert (advice.precision, advice.backend) == ("int8", "onnxruntime")
    for said in ("1 ms a window", "fastest of 3 within 0.5 mm", "+0.30 mm", "1.80 times its jitter", "but MPJPE +2.00 mm"):
        assert said in advice.sentence
    assert "\n" not in advice.sentence


def test_limit_on_jitter_holds_where_windows_overlap() -> None:
    assert recommend(ROWS, ShippingLimits(0.5, max_jitter=1.5)).precision == "fp32"


def test_larger_budget_takes_the_faster_one() -> None:
    assert recommend(ROWS, ShippingLimits(2.5)).backend == "openvino"


def test_poses_that_got_better_keep_any_budget() -> None:
    assert recommend([measured(2.0, 0.0), measured(1.0, -3.0, precision="int8")], ShippingLimits(0.5)).precision == "int8"


def test_of_two_that_are_as_fast_the_more_exact_is_named() -> None:
    rows = [measured(1.0, 0.4, precision="int8"), measured(1.01, 0.1, precision="fp16")]
    advice = recommend(rows, ShippingLimits(0.5))
    assert advice.precision == "fp16"
    assert "1.01 ms a window, as fast as any (1 ms) and the most exact of 2 within 0.5 mm" in advice.sentence


def test_where_nothing_fits_the_nearest_is_named_with_what_it_misses() -> None:
    advice = recommend(ROWS, ShippingLimits(0.5, most_ms=0.5))
    assert advice.artefact is None
    assert advice.sentence.startswith("nothing here is within 0.5 mm and 0.5 ms; the nearest is ")
    assert advice.sentence.endswith(": 1 ms") or advice.sentence.endswith(": 1.5 ms")


def test_nearest_is_what_exceeds_the_limit_least_however_exact_the_others_are() -> None:
    rows = [measured(0.6, 0.0), measured(5.0, 0.01, precision="fp16")]
    assert recommend(rows, ShippingLimits(0.5, most_ms=0.5)).sentence.endswith("build/fp32.onnx (fp32) on onnxruntime: 0.6 ms")
    rows = [measured(0.6, 0.52), measured(5.0, -3.0, precision="fp16"), samples.row(0.1)]
    assert "nearest is build/fp32.onnx" in recommend(rows[::2], ShippingLimits(0.5)).sentence
    assert "nearest is build/fp32.onnx" in recommend(rows, ShippingLimits(0.5, most_ms=0.7)).sentence


def test_what_is_not_known_is_not_kept() -> None:
    rows = [measured(2.0, 0.0), samples.row(1.0, precision="int8")]
    assert recommend(rows, ShippingLimits(0.5)).precision == "fp32"


@pytest.mark.parametrize("nan", [float("nan"), float("inf")])
def test_error_or_jitter_that_is_no_number_keeps_no_limit_and_is_on_no_front(nan: float) -> None:
    rows = [measured(2.0, 0.0), measured(1.0, nan, precision="fp16"), measured(0.9, 0.0, jitter=nan, precision="int8")]
    assert recommend(rows, ShippingLimits(0.5, max_jitter=1.5)).precision == "fp32"
    assert pareto(rows)[1] is None
    with pytest.raises(PoseedgeError, match="nothing tells how far MPJPE changed"):
        recommend(rows[1:2], ShippingLimits(0.5))


def test_poses_that_are_wrong_are_never_recommended() -> None:
    rows = [measured(2.0, 0.0), measured(1.0, 0.0, precision="int8", passed=False)]
    assert recommend(rows, ShippingLimits(0.5)).precision == "fp32"


def test_without_a_reference_nothing_can_be_recommended() -> None:
    with pytest.raises(PoseedgeError, match="nothing tells how far MPJPE changed"):
        recommend([samples.row(1.0)], ShippingLimits(0.5))


def test_front_holds_what_nothing_beats_in_both() -> None:
    rows = [measured(3.0, 0.0), measured(1.5, 0.0), measured(1.0, 0.3), measured(1.2, 0.5), samples.row(0.1)]
    assert pareto(rows) == [False, True, True, False, None]


def test_a_thousandth_of_a_millimetre_is_no_better() -> None:
    assert pareto([measured(1.0, 0.0), measured(1.5, -0.001)]) == [True, False]


def test_equal_points_are_both_on_the_front() -> None:
    assert pareto([measured(1.0, 0.3), measured(1.0, 0.3)]) == [True, True]


def test_latency_is_that_of_a_window_whatever_the_batch() -> None:
    assert recommend([measured(8.0, 0.0, batch=8)], ShippingLimits(0.5, most_ms=1.0)).artefact is not None
