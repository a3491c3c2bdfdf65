"""Recipes are data, and every mistake in them is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseedge.errors import PoseedgeError, nearest
from poseedge.evaluation.results import Limits
from poseedge.export.recipe import Int8, load_recipe
from poseedge.files import read_toml
from poseedge.models import names
from poseedge.resources import resource
from tests.support.small_export import RECIPE

SHIPPED = sorted(path.stem for path in resource("export").glob("*.toml"))


def written(folder: Path, text: str) -> str:
    path = folder / "recipe.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_is_for_a_known_model_with_weights_that_travel(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.model == name
    assert recipe.model in names()
    assert recipe.weights is None or resource("weights", recipe.weights).is_file()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_sets_a_limit_for_every_precision(name: str) -> None:
    assert load_recipe(name).parity.keys() == {"fp32", "fp16", "int8"}


def test_recipe_may_be_a_file_of_one_s_own(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, RECIPE))
    assert (recipe.int8.windows, recipe.fp16.keep) == (20, ["dct", "temporal_embed"])


def test_what_a_recipe_leaves_out_has_a_default(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, 'model = "mixste"\nparity = {}\n'))
    assert (recipe.fold, recipe.weights, recipe.int8) == (True, None, Int8(keep=[], windows=512))


def test_int8_in_half_precision_has_the_limits_of_int8_unless_it_has_its_own(tmp_path: Path) -> None:
    limits = load_recipe(written(tmp_path, RECIPE)).limits
    assert limits["int8-fp16"] == limits["int8"]
    own = RECIPE + "[parity.int8-fp16]\ndelta_mpjpe_mm = 1\nmean_mm = 2\np99_mm = 3\njitter_ratio = 4\n"
    limits = load_recipe(written(tmp_path, own)).limits
    assert limits["int8-fp16"] == Limits(delta_mpjpe_mm=1, mean_mm=2, p99_mm=3, jitter_ratio=4)
    assert limits["int8"].jitter_ratio is None


def test_syntax_error_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'model = "nanohtnet"\nfold = maybe\n')
    with pytest.raises(PoseedgeError, match=r"recipe\.toml: .*line 2"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('model = "nanohtnet"\nfolded = true\nparity = {}', "folded"),
        ('model = "nanohtnet"\n[int8]\nwindow = 3\n[parity]', r"int8\.window"),
        ('model = "nanohtnet"\n[int8]\nwindows = 0\n[parity]', r"int8\.windows"),
        ('model = "nanohtnet"\n[parity.int4]\n', r"parity\.int4"),
        ('model = "nanohtnet"\n[parity.fp32]\nmean_mm = 1\np99_mm = 1', r"parity\.fp32\.delta_mpjpe_mm"),
        ("parity = {}", "model"),
    ],
)
def test_wrong_entry_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PoseedgeError, match=rf"recipe\.toml: {place}[\w.\[\]]*: "):
        load_recipe(path)


def test_model_without_a_recipe_suggests_the_nearest() -> None:
    with pytest.raises(PoseedgeError, match="there is no recipe for 'nanohtnett'") as caught:
        load_recipe("nanohtnett")
    assert caught.value.hint.startswith("did you mean 'nanohtnet'?")


def test_missing_recipe_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match=r"none\.toml: no such recipe"):
        load_recipe(str(tmp_path / "none.toml"))


def test_nothing_near_lists_what_is_known() -> None:
    assert nearest("xyz", ["cpu", "default"]) == "Known: cpu, default"


def test_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PoseedgeError, match=r"recipe\.toml: "):
        read_toml(tmp_path / "recipe.toml")
