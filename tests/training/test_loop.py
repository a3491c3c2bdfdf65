"""Training learns, resumes to the same result bit for bit, and stops at the first loss that is not finite."""

from __future__ import annotations

import csv
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from poseedge.errors import PoseedgeError
from poseedge.models import load_checkpoint
from poseedge.models.checkpoints import read_checkpoint
from poseedge.models.layers import DropPath
from poseedge.training.batch import Batch, ProcessShare
from poseedge.training.folder import alone_in
from poseedge.training.loop import Status, average, set_momentum, without_regularization
from poseedge.training.objective import Objective
from tests.support.training import FewWindows, network, recipe, same, trained, training, weights

pytestmark = pytest.mark.slow

AVERAGED = "average=0.9"


class Interrupted(Exception):
    """The machine was switched off."""


def breaks_at(evaluation: int) -> Callable[[Objective], dict[str, float]]:
    """Return an evaluation that the n-th time is broken off."""
    calls: list[int] = []

    def evaluate(_: Objective) -> dict[str, float]:
        calls.append(1)
        if len(calls) == evaluation:
            raise Interrupted
        return {"mpjpe_mm": 1.0}

    return evaluate


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("settings", [(), (AVERAGED,), ("regularize=false",)])
def test_two_epochs_and_two_more_equal_four_bit_for_bit(tmp_path: Path, settings: tuple[str, ...]) -> None:
    trained(tmp_path / "parts", recipe("epochs=2", *settings))
    resumed = training(tmp_path / "parts", recipe("epochs=4", *settings))
    assert resumed.step == 4
    assert same(weights(resumed.run()), trained(tmp_path / "whole", recipe("epochs=4", *settings)))
    logs = [[{k: v for k, v in row.items() if "seconds" not in k} for row in rows(tmp_path / n)] for n in ("parts", "whole")]
    assert logs[0] == logs[1]


def test_time_without_windows_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = FewWindows.draw

    def slow(source: FewWindows, step: int, size: int, share: ProcessShare) -> Batch:
        time.sleep(0.6)  # thrice what is asked for: a busy machine begins to wait late
        return draw(source, step, size, share)

    monkeypatch.setattr(FewWindows, "draw", slow)
    counted = training(tmp_path, recipe("steps=1"))
    counted.run()
    assert counted.waited >= 0.2  # nothing ran while the first batch was cut


def test_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        trained(tmp_path / "broken", recipe("epochs=3"), evaluate=breaks_at(3))
    resumed = training(tmp_path / "broken", recipe("epochs=3"))
    assert resumed.step == 4
    assert same(weights(resumed.run()), trained(tmp_path / "whole", recipe("epochs=3")))


def test_training_twice_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    one, two = (trained(tmp_path / name, recipe("epochs=1")) for name in "ab")
    assert same(one, two)
    assert not same(one, trained(tmp_path / "c", recipe("epochs=1", "seed=2")))


def test_finished_training_has_nothing_left_to_do(tmp_path: Path) -> None:
    first = trained(tmp_path, recipe("epochs=1"))
    again = training(tmp_path, recipe("epochs=1"))
    assert again.step == again.steps == 2
    assert same(weights(again.run()), first)


def test_checkpoint_holds_weights_configuration_and_metrics(tmp_path: Path) -> None:
    kept = trained(tmp_path, recipe("epochs=2", AVERAGED))
    assert same(dict(load_checkpoint(tmp_path / "last.pth").state_dict()), kept)
    content = torch.load(tmp_path / "last.pth", weights_only=True)
    record = content["record"]
    assert (record["metrics"]["step"], record["metrics"]["mpjpe_mm"]) == (4, 1.0)
    assert (record["training"]["batch"], record["training"]["optimizer"]["lr"]) == (4, 5e-4)
    assert content["config"]["channel"] == 48


def test_best_checkpoint_is_that_of_the_smallest_error(tmp_path: Path) -> None:
    errors = iter([3.0, 1.0, 2.0])
    trained(tmp_path, recipe("epochs=3"), evaluate=lambda _: {"mpjpe_mm": next(errors)})
    steps = {name: read_checkpoint(tmp_path / f"{name}.pth")["record"]["metrics"]["step"] for name in ("best", "last")}
    assert steps == {"best": 4, "last": 6}


def test_log_has_a_row_for_every_evaluation(tmp_path: Path) -> None:
    trained(tmp_path, recipe("steps=5", "evaluate_every=2"))
    assert [row["step"] for row in rows(tmp_path)] == ["2", "4", "5"]
    assert list(rows(tmp_path)[0]) == ["step", "epoch", "seconds", "cpu_seconds", "lr", "loss_mm", "mpjpe_mm"]


def test_listener_hears_of_every_step(tmp_path: Path) -> None:
    heard: list[Status] = []
    trained(tmp_path, recipe("epochs=2"), listen=heard.append)
    assert [(point.step, point.steps, point.epoch, point.row is not None) for point in heard] == [
        (1, 4, 0.5, False),
        (2, 4, 1.0, True),
        (3, 4, 1.5, False),
        (4, 4, 2.0, True),
    ]
    assert all(point.steps_per_second > 0 for point in heard)


def test_state_is_saved_between_evaluations_when_time_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poseedge.training.loop.SAVE_SECONDS", 0.0)
    with pytest.raises(Interrupted):
        trained(tmp_path, recipe("steps=3", "evaluate_every=3"), evaluate=breaks_at(1))
    assert training(tmp_path, recipe("steps=3", "evaluate_every=3")).step == 2


def test_half_precision_forward_keeps_weights_in_float32(tmp_path: Path) -> None:
    kept = trained(tmp_path, recipe("epochs=1", "precision=bf16-mixed"))
    assert {value.dtype for value in kept.values()} == {torch.float32}
    assert not same(kept, trained(tmp_path / "full", recipe("epochs=1")))


def test_loss_that_is_not_finite_is_an_error_with_its_step_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="the loss became nan at step 0") as caught:
        trained(tmp_path, recipe(), spoil=float("nan"))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_state_of_another_training_is_told_with_what_differs(tmp_path: Path) -> None:
    trained(tmp_path, recipe("epochs=1"))
    with pytest.raises(PoseedgeError, match=r"state\.pth: is of another training, with another optimizer\.lr, seed"):
        training(tmp_path, recipe("epochs=1", "optimizer.lr=1e-4", "seed=7"))


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".state.pth.abcd_123.poseedge-part.pth").write_bytes(b"half")
    trained(tmp_path, recipe("epochs=1"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pth", "last.pth", "log.csv", "state.pth"]


def test_full_disk_is_named_with_the_file_and_leaves_the_last_state(tmp_path: Path) -> None:
    trained(tmp_path, recipe("epochs=1"))
    before = (tmp_path / "state.pth").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # the process ignores the signal, and the write fails
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            trained(tmp_path, recipe("epochs=2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert Path(str(caught.value.filename)).parent == tmp_path
    assert (tmp_path / "state.pth").read_bytes() == before
    assert list(tmp_path.glob(".*")) == []


def test_second_training_in_one_folder_is_refused(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(PoseedgeError, match="another training runs in it") as caught, alone_in(tmp_path):
        pass
    assert "--output" in caught.value.hint


@pytest.mark.parametrize("name", ["best.pth", "last.pth", "best_refine.pth", "log.csv", "curves.png"])
def test_file_that_is_not_of_this_training_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(PoseedgeError, match=rf"{name}: exists, and no state\.pth says that it is of this training") as caught:
        trained(tmp_path, recipe("epochs=1"))
    assert "--output" in caught.value.hint
    assert (tmp_path / name).read_bytes() == b"mine"


def test_weights_of_another_training_are_not_overwritten_where_its_state_is_gone(tmp_path: Path) -> None:
    trained(tmp_path, recipe("epochs=1"))
    (tmp_path / "state.pth").unlink()
    before = (tmp_path / "best.pth").read_bytes()
    with pytest.raises(PoseedgeError, match=r"best\.pth: exists"):
        trained(tmp_path, recipe("epochs=1", "seed=2"))
    assert (tmp_path / "best.pth").read_bytes() == before


def test_training_that_was_killed_before_its_first_state_begins_again(tmp_path: Path) -> None:
    first = trained(tmp_path, recipe("epochs=1"))
    (tmp_path / "state.pth").unlink()
    assert same(trained(tmp_path, recipe("epochs=1")), first)


def test_checkpoint_called_state_is_not_overwritten(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.ones(2)}}, tmp_path / "state.pth")
    before = (tmp_path / "state.pth").read_bytes()
    with pytest.raises(PoseedgeError, match=r"state\.pth: is no training's state"):
        trained(tmp_path, recipe("epochs=1"))
    assert (tmp_path / "state.pth").read_bytes() == before


def test_hidden_files_of_others_stay_when_leftovers_go(tmp_path: Path) -> None:
    for name in (".model.pth.bak", ".best.pth.old", ".teacher.pth.x.pth"):
        (tmp_path / name).write_bytes(b"mine")
    trained(tmp_path, recipe("epochs=1"))
    training(tmp_path, recipe("epochs=1"))
    assert {path.name for path in tmp_path.glob(".*")} == {".model.pth.bak", ".best.pth.old", ".teacher.pth.x.pth"}


def test_batch_that_processes_cannot_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_fabric.Fabric.world_size", 3)
    with pytest.raises(PoseedgeError, match="a batch of 4 does not divide between 3 processes"):
        training(tmp_path, recipe())


def test_average_moves_by_one_minus_the_decay_and_takes_over_statistics() -> None:
    one, other = (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)) for _ in range(2))
    other(torch.rand(8, 2))
    wanted = 0.9 * one[0].get_parameter("weight").detach() + 0.1 * other[0].get_parameter("weight").detach()
    average(one, other, 0.9)
    torch.testing.assert_close(one[0].get_parameter("weight").detach(), wanted)
    assert torch.equal(one[1].get_buffer("running_mean"), other[1].get_buffer("running_mean"))


def test_regularization_is_switched_off_everywhere() -> None:
    made = network()
    without_regularization(made)
    rates = [m.p for m in made.modules() if isinstance(m, nn.Dropout)]
    rates += [m.rate for m in made.modules() if isinstance(m, DropPath)]
    assert len(rates) > 5
    assert set(rates) == {0.0}


def test_batch_norms_follow_as_fast_as_the_recipe_says() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Sequential(nn.BatchNorm1d(4)))
    set_momentum(model, 0.01)
    assert [part.momentum for part in model.modules() if isinstance(part, nn.BatchNorm1d)] == [0.01, 0.01]


def test_windows_are_drawn_one_step_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    plain = FewWindows.draw

    def draw(self: FewWindows, step: int, size: int, share: ProcessShare) -> Batch:
        drawn.append(step)
        return plain(self, step, size, share)

    monkeypatch.setattr(FewWindows, "draw", draw)
    trained(tmp_path, recipe("steps=3"))
    assert drawn == [0, 1, 2, 3]
