"""What goes to a program is JSON, whatever the numbers."""

from __future__ import annotations

import json
import math

import pytest

from poseedge.cli.console import emit_json


def test_what_json_has_no_number_for_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"a": [math.nan, 1.5, (math.inf, -math.inf)], "b": {"c": 2}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5, [None, None]], "b": {"c": 2}}
