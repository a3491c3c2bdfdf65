"""The schemas in docs/schema are those of the code, and what the commands write keeps them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from poseedge.bundle.manifest import MANIFEST
from poseedge.cli.schema import DOCUMENTS, schema, schemas
from poseedge.files import read_toml
from poseedge.resources import resource
from tests.support.folders import MINI

STORED = Path(__file__).parents[2] / "docs" / "schema"
BENCH = ("--rounds", "1", "--frames", "30", "--precision", "fp32", "--backend", "onnxruntime")


@pytest.mark.slow
def test_command_writes_what_the_repository_holds(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "poseedge.cli.schema", str(tmp_path)], check=True)
    written, stored = (
        {path.name: essence(json.loads(path.read_text())) for path in folder.glob("*.json")} for folder in (tmp_path, STORED)
    )
    assert written == stored, "write them anew: python -m poseedge.cli.schema"


def essence(content: Any) -> Any:
    """Return a schema without what one pydantic writes and another does not."""
    if isinstance(content, list):
        return [essence(part) for part in content]
    if not isinstance(content, dict) or "const" in content:
        return content["const"] if isinstance(content, dict) else content
    if len(content.get("allOf", [])) == 1:
        return essence({**content, **content["allOf"][0], "allOf": []})
    left_out = {"allOf", "title", "description", "default", "additionalProperties", "patternProperties", "propertyNames"}
    return {
        key: {name: essence(part) for name, part in value.items()} if key in {"properties", "$defs"} else essence(value)
        for key, value in content.items()
        if key not in left_out
    }


def test_every_schema_names_its_draft_and_every_field_its_type() -> None:
    for text in schemas().values():
        content = json.loads(text)
        assert content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert set(content["required"]) <= content["properties"].keys()
        tables = [content, *content.get("$defs", {}).values()]
        fields = [field for table in tables for field in table.get("properties", {}).items()]
        untyped = [name for name, told in fields if not {"type", "$ref", "anyOf", "enum", "const", "allOf"} & told.keys()]
        assert untyped == []


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("eval", "artefact backend precision dataset keypoints flip frames mpjpe_mm p_mpjpe_mm mpjve_mm by_action by_joint_mm"),
        ("bench", "machine method rows"),
        ("manifest", "format files graphs limits parity reference checkpoint"),
    ],
)
def test_what_others_rely_on_is_required(name: str, keys: str) -> None:
    assert set(keys.split()) <= set(schema(DOCUMENTS[name])["required"])


def test_what_the_commands_print_keeps_the_schemas(
    poseedge: Any, small_bundle: Path, export_inputs: Path, no_cold_starts: None
) -> None:
    data = ("--data", export_inputs / "data", "--json")
    found = {
        "eval": poseedge("eval", small_bundle, "--against", "checkpoint", *data).json,
        "bench": poseedge("bench", small_bundle, *BENCH, "--json").json,
        "manifest": json.loads((small_bundle / MANIFEST).read_text()),
        "cameras": json.loads((MINI / "cameras_mocap17-mini.json").read_text()),
    }
    for name, content in found.items():
        assert faults(content, schema(DOCUMENTS[name])) == []


def test_schema_refuses_what_the_models_refuse(small_bundle: Path) -> None:
    manifest = json.loads((small_bundle / MANIFEST).read_text())
    manifest["graphs"]["fp32"]["file"] = "../x"
    manifest["parity"]["int8"]["mpjpe_mm"] = "38"
    del manifest["limits"]["fp16"]["mean_mm"]
    assert faults(manifest, schema(DOCUMENTS["manifest"])) == [
        "graphs.fp32.file: '../x' is not of the pattern",
        "limits.fp16: mean_mm is missing",
        "parity.int8.mpjpe_mm: no number",
    ]


def test_bundled_recipes_keep_their_schema() -> None:
    content = read_toml(resource("export", "mixste.toml"))
    recipe = {key: value for key, value in content.items() if key in DOCUMENTS["export_recipe"].model_fields}
    assert faults(recipe, schema(DOCUMENTS["export_recipe"])) == []


def faults(content: Any, rule: dict[str, Any]) -> list[str]:
    """Return what ``content`` has against a schema: the keywords that ours use, as JSON Schema's draft 2020-12 defines them."""
    return sorted(_faults(content, rule, rule, ""))


def _faults(content: Any, rule: dict[str, Any], root: dict[str, Any], place: str) -> list[str]:
    if "$ref" in rule:
        return _faults(content, root["$defs"][rule["$ref"].rsplit("/", 1)[1]], root, place)
    if "anyOf" in rule:
        found = [_faults(content, option, root, place) for option in rule["anyOf"]]
        return [] if [] in found else found[0]
    kinds: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kinds |= {"integer": int, "number": (int, float)}
    kind = rule.get("type")
    if kind and (not isinstance(content, kinds[kind]) or (isinstance(content, bool) and kind != "boolean")):
        return [f"{place}: no {kind}"]
    said = [f"{place}: not {rule['const']!r}"] if "const" in rule and content != rule["const"] else []
    if "enum" in rule and content not in rule["enum"]:
        said.append(f"{place}: not one of {rule['enum']}")
    if isinstance(content, str) and "pattern" in rule and not re.search(rule["pattern"], content):
        said.append(f"{place}: {content!r} is not of the pattern")
    if isinstance(content, (int, float)):
        said += [f"{place}: {content} < {rule['minimum']}"] if content < rule.get("minimum", content) else []
        said += [f"{place}: {content} too small"] if content <= rule.get("exclusiveMinimum", content - 1) else []
    if isinstance(content, list) and "items" in rule:
        said += [fault for at, item in enumerate(content) for fault in _faults(item, rule["items"], root, f"{place}.{at}")]
    if isinstance(content, dict):
        said += [f"{place}: {key} is missing" for key in rule.get("required", []) if key not in content]
        known, others = rule.get("properties", {}), rule.get("additionalProperties", True)
        for key, value in content.items():
            inner = known.get(key, others)
            here = f"{place}.{key}".removeprefix(".")
            said += [f"{here}: not known"] if inner is False else _faults(value, inner, root, here) if inner is not True else []
    return said
