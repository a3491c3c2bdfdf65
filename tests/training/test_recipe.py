"""Every network has the recipe of its paper; files and settings change it, and mistakes are told with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseedge.errors import PoseedgeError
from poseedge.models import create
from poseedge.models.refine import RefineNetwork
from poseedge.models.registry import lifting_names
from poseedge.training import recipe as recipes
from poseedge.training.recipe import load_training_recipe

LIFTING = lifting_names()
# optimizer, learning rate, weight decay, epochs, batch, seed, rate after 1, 5 and 6 epochs: ../models of the specification.
PUBLISHED = {
    "graphmlp": ("adam", 1e-3, 0, 20, 256, 1, (0.95, 0.95**4 / 2, 0.95**5 / 2)),
    "htnet": ("adam", 5e-4, 0, 15, 512, 1, (0.95, 0.95**4 / 2, 0.95**5 / 2)),
    "nehsnet": ("adam", 1e-3, 0, 20, 2048, 1, (0.95, 0.95**4 / 2, 0.95**4 / 4)),
    "nanohtnet": ("adam", 5e-4, 0, 49, 256, 1, (1, 0.5, 0.5)),
    "mhformer": ("adam", 1e-3, 0, 20, 128, 1, (0.95, 0.95**4 / 2, 0.95**5 / 2)),
    "tpc_mhformer": ("adam", 1e-3, 0, 20, 210, 1, (0.95, 0.95**4 / 2, 0.95**5 / 2)),
    "strided_transformer": ("adam", 1e-3, 0, 20, 256, 1, (0.95, 0.95**4 / 2, 0.95**5 / 2)),
    "mixste": ("adamw", 4e-5, 0.1, 160, 4, 1126, (0.99, 0.99**5, 0.99**6)),
    "hot_mixste": ("adamw", 4e-5, 0.1, 160, 4, 1126, (0.99, 0.99**5, 0.99**6)),
    "tpc_mixste": ("adamw", 4e-5, 0.1, 160, 4, 1126, (0.99, 0.99**5, 0.99**6)),
    "motionbert": ("adamw", 2e-4, 0.01, 120, 32, 1, (0.99, 0.99**5, 0.99**6)),
    "hot_motionbert": ("adamw", 2e-4, 0.01, 120, 32, 1, (0.99, 0.99**5, 0.99**6)),
}


def test_every_lifting_network_has_a_recipe() -> None:
    assert recipes.recipe_names() == LIFTING


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe_is_the_published_one(name: str) -> None:
    recipe = load_training_recipe(name)
    optimizer, lr, decay, epochs, batch, seed, factors = PUBLISHED[name]
    facts = recipe.optimizer
    assert (facts.name, facts.lr, facts.weight_decay, facts.amsgrad) == (optimizer, lr, decay, optimizer == "adam")
    assert (recipe.epochs, recipe.batch, recipe.seed, recipe.steps, recipe.average) == (epochs, batch, seed, None, 0)
    found = [recipe.learning_rate(epoch * 10, per_epoch=10) / lr for epoch in (1, 5, 6)]
    assert found == pytest.approx(factors)
    assert recipe.learning_rate(9, per_epoch=10) == lr
    assert recipe.regularize
    assert recipe.precision == "32-true"


@pytest.mark.slow
def test_windows_and_losses_are_the_published_ones() -> None:
    pose, sequences = {"mpjpe": 1.0}, {"weighted_mpjpe": 1.0, "temporal": 0.5, "velocity": 2.0}
    motion = {"mpjpe": 1.0, "n_mpjpe": 0.5, "velocity": 20.0}
    losses = dict.fromkeys(PUBLISHED, pose) | dict.fromkeys(["mixste", "hot_mixste", "tpc_mixste"], sequences)
    losses |= dict.fromkeys(["motionbert", "hot_motionbert"], motion) | {"nehsnet": {"mpjpe": 1.0, "p_mpjpe": 0.5}}
    assert {name: load_training_recipe(name).loss for name in PUBLISHED} == losses
    cuts = {
        name: (
            load_training_recipe(name).data.cut,
            load_training_recipe(name).data.stride,
            load_training_recipe(name).data.mirror,
        )
        for name in PUBLISHED
    }
    assert {name: cut for name, cut in cuts.items() if cut != ("centered", None, "both")} == {
        **dict.fromkeys(["mixste", "hot_mixste", "tpc_mixste"], ("consecutive", None, "both")),
        **dict.fromkeys(["motionbert", "hot_motionbert"], ("consecutive", 81, "random")),
    }
    assert [name for name in PUBLISHED if load_training_recipe(name).data.keypoints == "gt"] == ["nehsnet"]


def test_refine_stages_are_those_that_the_papers_have() -> None:
    stages = {name: facts for name in LIFTING if (facts := load_training_recipe(name).refine)}
    assert list(stages) == ["graphmlp", "htnet", "strided_transformer"]
    for name, facts in stages.items():
        assert isinstance(create(facts.module), RefineNetwork)
        second = load_training_recipe(name).second_stage()
        assert (second.optimizer.lr, second.batch, second.loss) == (1e-5, 256, {"mpjpe": 1.0})


def test_network_without_a_refine_stage_says_which_have_one() -> None:
    with pytest.raises(PoseedgeError, match="nanohtnet has no refine stage") as caught:
        load_training_recipe("nanohtnet").second_stage()
    assert caught.value.hint == "these have: graphmlp, htnet, strided_transformer"


def test_file_lies_over_the_recipe_and_settings_over_both(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("batch = 7\nepochs = 3\n[optimizer]\nlr = 0.5\n")
    recipe = load_training_recipe("mixste", str(tmp_path / "mine.toml"), ["batch=9", "network.depth=2", "schedule.kind=cosine"])
    assert (recipe.batch, recipe.epochs, recipe.optimizer.lr, recipe.optimizer.weight_decay) == (9, 3, 0.5, 0.1)
    assert (recipe.network, recipe.schedule.kind) == ({"depth": 2}, "cosine")


def test_loss_term_is_added_to_the_others() -> None:
    assert load_training_recipe("graphmlp", settings=["loss.p_mpjpe=0.5"]).loss == {"mpjpe": 1.0, "p_mpjpe": 0.5}


def test_views_can_be_laid_over_every_recipe() -> None:
    for name in LIFTING:
        recipe = load_training_recipe(name, "views")
        assert (recipe.data.source, recipe.steps, recipe.average) == ("views", 24_000, 0.999)
        assert recipe.loss == load_training_recipe(name).loss


def test_quantization_aware_training_is_gentle_in_float_and_towards_poses_whatever_the_network() -> None:
    for name in LIFTING:
        recipe, own = load_training_recipe(name, qat=True), load_training_recipe(name)
        assert {term: weight for term, weight in recipe.loss.items() if weight} == {"mpjpe": 1.0}
        assert (recipe.optimizer.lr, recipe.average) == (1e-5, 0.98)
        assert (recipe.regularize, recipe.precision) == (False, "32-true")
        assert (recipe.batch, recipe.data) == (own.batch, own.data)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("optimizer.rate=1", "--set optimizer.rate=1: optimizer.rate: is no key that is known here"),
        ("batch=0", "--set batch=0: batch: should be greater than 0"),
        ("batch=many", "--set batch=many: batch: should be a whole number"),
        ("batch", "--set batch: expected key=value"),
        ("network.layers=x", "--set network.layers=x: nanohtnet: network.layers is a whole number, not 'x'"),
        ("network.layer=2", "--set network.layer=2: nanohtnet has no setting 'layer'"),
        ("loss.mpjp=1", "there is no loss term 'mpjp'; did you mean 'mpjpe'?"),
        ("loss.mpjpe=0", "at least one loss term needs a weight"),
        ("model=mixste", "this is the training recipe of mixste, not of nanohtnet"),
    ],
)
def test_wrong_setting_is_told_with_its_place(setting: str, said: str) -> None:
    with pytest.raises(PoseedgeError) as caught:
        load_training_recipe("nanohtnet", settings=[setting])
    assert said in caught.value.message


def test_missing_file_names_what_there_is() -> None:
    with pytest.raises(PoseedgeError, match=r"none\.toml: no such file") as caught:
        load_training_recipe("nanohtnet", "none.toml")
    assert caught.value.hint == "--config takes a TOML file, or one of: live, views"


def test_momentum_of_batch_norms_falls_from_epoch_to_epoch() -> None:
    recipe = load_training_recipe("nanohtnet", settings=["epochs=4", "schedule.batch_norm=[0.1,0.001]"])
    found = [recipe.batch_norm_momentum(step, per_epoch=10) for step in (0, 9, 10, 20, 39)]
    assert found == pytest.approx([0.1, 0.1, 0.1 * 0.01**0.25, 0.01, 0.1 * 0.01**0.75])
    assert load_training_recipe("nanohtnet").batch_norm_momentum(0, 10) is None


def test_cosine_warms_up_and_falls_to_its_smallest() -> None:
    cosine = ["schedule.kind=cosine", "optimizer.lr=1", "schedule.lr_min=0.1", "schedule.warmup=4", "steps=104"]
    recipe = load_training_recipe("nanohtnet", settings=cosine)
    rates = [recipe.learning_rate(step, 10) for step in range(105)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[54] == pytest.approx(0.55)
    assert rates[104] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert recipe.learning_rate(500, 10) == pytest.approx(0.1)
