"""Settings on the command line: ``--set optimizer.lr=1e-4`` as a value in nested tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from poseedge.errors import PoseedgeError
from poseedge.files import check_plain


def read_setting(setting: str) -> dict[str, Any]:
    """Read ``optimizer.lr=1e-4`` into nested tables; a value is JSON, or else a string."""
    key, separator, text = setting.partition("=")
    if not separator or not key:
        raise PoseedgeError(f"--set {setting}: expected key=value", "for example --set optimizer.lr=1e-4")
    try:
        content = json.loads(text)
        check_plain(content)
    except (ValueError, RecursionError):
        content = text
    for part in reversed(key.split(".")):
        content = {part: content}
    return dict(content)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the values of ``over``, table by table."""
    result = dict(base)
    for key, value in over.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


def network_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return what ``network.layer_index=2`` and the like set of a network; any other setting is an error."""
    content: dict[str, Any] = {}
    for setting in settings:
        read = read_setting(setting)
        if read.keys() != {"network"} or not isinstance(read["network"], dict):
            raise PoseedgeError(f"--set {setting}: here it sets the network alone", "for example --set network.layer_index=2")
        content = merged(content, read["network"])
    return content
