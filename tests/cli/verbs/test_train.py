"""``poseedge train`` as a user meets it: recipes, stages, processes, and a process that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from poseedge.models import load_checkpoint
from poseedge.models.checkpoints import read_checkpoint
from tests.support.folders import MINI
from tests.support.tiny import TINY
from tests.support.user import Command, assert_refused

FRAMES = ("--every", "100", "--threads", "1")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"


def process(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start ``poseedge train`` in a process of its own, from a file, as an installed command is."""
    (folder / "poseedge_command.py").write_text("from poseedge.cli.app import main\nmain()\n")
    command = [sys.executable, folder / "poseedge_command.py", "train", "--data", MINI, *FRAMES, *arguments]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env={**os.environ, **paths})


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(path).state_dict())


def test_training_leaves_checkpoints_log_and_curves(poseedge: Command, tiny: Path, tmp_path: Path) -> None:
    outcome = poseedge("train", "--data", MINI, "--output", tmp_path / "run", "--config", tiny, *FRAMES)
    assert outcome.status == 0, outcome.err
    assert outcome.out.strip() == f"next: poseedge eval {tmp_path / 'run' / 'best.pth'} --data {MINI}"
    assert "step 4/4  loss" in outcome.err
    assert "steps/s" in outcome.err
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == ["best.pth", "curves.png", "last.pth", "log.csv", "state.pth"]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_result_as_json_and_going_on_to_more_steps(poseedge: Command, tiny: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", MINI, "--output", tmp_path / "run", "--config", tiny, *FRAMES, "--json"]
    first = json.loads(poseedge(*arguments, "--steps", 2).out)
    second = json.loads(poseedge(*arguments).out)
    assert (first["model"], first["steps"], second["steps"]) == ("nanohtnet", 2, 4)
    assert [row["step"] for row in second["log"]] == [2, 4]
    assert set(second["log"][0]) >= {"mpjpe_mm_gt", "mpjpe_mm_detected", "loss_mm", "lr", "epoch", "seconds"}


def test_refine_stage_goes_on_with_a_trained_network(poseedge: Command, tmp_path: Path) -> None:
    common = ["train", "--model", "graphmlp", "--data", MINI, *FRAMES, "--steps", 2, "--batch", 8]
    lifter = [*common, "--output", tmp_path / "one", "--set", "network.channel=16", "--set", "network.layers=1"]
    assert poseedge(*lifter).status == 0
    outcome = poseedge(*common, "--output", tmp_path / "two", "--refine", "--init", tmp_path / "one" / "best.pth")
    assert outcome.status == 0, outcome.err
    assert load_checkpoint(tmp_path / "two" / "best_refine.pth").name == "graphmlp_refine"
    assert weights(tmp_path / "two" / "best.pth").keys() == weights(tmp_path / "one" / "best.pth").keys()
    assert read_checkpoint(tmp_path / "two" / "best.pth")["record"]["training"]["optimizer"]["lr"] == 1e-5


def test_quantization_aware_training_leaves_an_ordinary_checkpoint(poseedge: Command, tiny: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", MINI, "--config", tiny, "--set", "evaluate_every=1", *FRAMES]
    assert poseedge(*arguments, "--output", tmp_path / "one", "--steps", 2).status == 0
    first = tmp_path / "one" / "best.pth"
    outcome = poseedge(*arguments, "--output", tmp_path / "two", "--qat", "--init", first)
    assert outcome.status == 0, outcome.err
    assert outcome.out.strip().startswith(f"next: poseedge export --model nanohtnet --checkpoint {tmp_path / 'two' / 'best.pth'}")
    assert (tmp_path / "two" / "log.csv").read_text().count(",int8_mm,") == 1
    assert weights(tmp_path / "two" / "best.pth").keys() == weights(first).keys()
    outcome = poseedge(*arguments, "--output", tmp_path / "two", "--qat", "--init", tmp_path / "two" / "best.pth")
    assert_refused(outcome, "is of another training, with another imitated", "another --output")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), ("--qat goes on with a trained network", "--init")),
        (("--init", "best.pth", "--compile"), ("--qat goes with neither --refine nor --compile", "leave them out")),
        (("--init", "best.pth", "--precision", "bf16-mixed"), ("--qat needs --precision 32-true, not bf16-mixed",)),
    ],
)
def test_quantization_aware_training_says_what_it_needs(
    poseedge: Command, tmp_path: Path, arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    outcome = poseedge("train", "--data", MINI, "--output", tmp_path / "run", "--qat", *arguments)
    assert_refused(outcome, *said)
    assert not (tmp_path / "run").exists()


def test_refine_stage_needs_a_trained_network(poseedge: Command, tmp_path: Path) -> None:
    outcome = poseedge("train", "--model", "graphmlp", "--data", MINI, "--output", tmp_path / "run", "--refine")
    assert outcome.status == 2
    assert "--refine goes on with a trained network" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["train", "pretrain"])
@pytest.mark.parametrize("output", [".", ".."])
def test_the_folder_that_one_works_in_is_not_filled(poseedge: Command, verb: str, output: str) -> None:
    outcome = poseedge(verb, "--data", MINI, "--output", output)
    assert_refused(outcome, f"{output}: is the folder that you work in", "--output")


def test_wrong_setting_is_refused_before_anything_is_written(poseedge: Command, tmp_path: Path) -> None:
    outcome = poseedge("train", "--data", MINI, "--output", tmp_path / "run", "--set", "optimizer.speed=1")
    assert outcome.status == 2
    assert "--set optimizer.speed=1: optimizer.speed: is no key that is known here" in outcome.err
    assert not (tmp_path / "run").exists()


def test_judges_that_the_data_lacks_are_told_with_those_that_it_holds(poseedge: Command, tmp_path: Path) -> None:
    outcome = poseedge("train", "--data", MINI, *FRAMES, "--config", "live", "--output", tmp_path / "run")
    assert_refused(outcome, "no subject S8, which the recipe keeps out to judge by", """--set 'data.validate_on=["S""")
    assert not (tmp_path / "run").exists()


def test_two_processes_learn_what_one_learns(poseedge: Command, tiny: Path, tmp_path: Path) -> None:
    plain = ["--config", tiny, "--set", "regularize=false"]  # dropout is drawn anew in each process
    both = process(tmp_path, *plain, "--output", tmp_path / "two", "--accelerator", "cpu", "--devices", 2)
    assert poseedge("train", "--data", MINI, *FRAMES, *plain, "--output", tmp_path / "one").status == 0
    assert both.wait(timeout=240) == 0, both.stderr
    one, two = (read_checkpoint(tmp_path / name / "state.pth") for name in ("one", "two"))
    assert (one["identity"]["processes"], two["identity"]["processes"]) == (1, 2)
    errors = [state["history"][-1]["mpjpe_mm_gt"] for state in (one, two)]
    assert errors[0] == pytest.approx(errors[1], abs=0.05)
    last = [weights(tmp_path / name / "last.pth")["fc.weight"] for name in ("one", "two")]
    torch.testing.assert_close(*last, atol=2e-4, rtol=0)


def test_killed_at_any_moment_the_last_checkpoint_is_whole_and_training_goes_on(
    poseedge: Command, tiny: Path, tmp_path: Path
) -> None:
    settings = ["--config", tiny, "--steps", 20, "--set", "evaluate_every=1"]  # so that it is nearly always writing
    killed = tmp_path / "killed"
    for delay in (0.0, 0.37):
        running = process(tmp_path, *settings, "--output", killed)
        before = (killed / "state.pth").stat().st_mtime_ns if (killed / "state.pth").exists() else 0
        while running.poll() is None:
            if (killed / "state.pth").exists() and (killed / "state.pth").stat().st_mtime_ns > before:
                break
            time.sleep(0.01)
        time.sleep(delay)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        state = read_checkpoint(killed / "state.pth")
        assert 0 < state["step"] < 20
        assert len(state["history"]) == state["step"]
        assert weights(killed / "last.pth").keys() == weights(killed / "best.pth").keys()

    assert poseedge("train", "--data", MINI, *FRAMES, *settings, "--output", killed).status == 0
    assert poseedge("train", "--data", MINI, *FRAMES, *settings, "--output", tmp_path / "whole").status == 0
    for name in ("last.pth", "best.pth"):
        ours, theirs = weights(killed / name), weights(tmp_path / "whole" / name)
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert sorted(p.name for p in killed.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())
