"""``poseedge data``: from arrays to an evaluation, a look at a folder, a calibration set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.live.trained import bundled_network
from tests.support.bvh_files import CMU, write_bvh
from tests.support.folders import MINI, excerpt
from tests.support.tiny import TINY
from tests.support.user import Command, assert_refused


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """Return folders of two people: a motion in millimetres, one in metres, and a BVH."""
    walk = excerpt().motion["S9"]["Walking 1"]
    for person in ("anna", "ben"):
        (tmp_path / person).mkdir()
    np.save(tmp_path / "anna" / "Walking_1.npy", walk * 1000)
    np.savez(tmp_path / "ben" / "Walking_1.npz", joints=walk)
    write_bvh(tmp_path / "anna" / "Dancing_1.bvh", CMU, "ZYX", frames=20)
    return tmp_path


def test_captures_become_a_set_that_is_checked_and_evaluated(poseedge: Command, captures: Path, small_bundle: Path) -> None:
    lab = captures / "lab"
    made = poseedge("data", "convert", captures / "anna", captures / "ben", "--test", "ben", "-o", lab, "--json").json
    assert (made["train"], made["test"], made["clips"], made["in_picture"]) == (["anna"], ["ben"], 3, 1.0)
    looked = poseedge("data", "check", lab, "--json").json
    assert (looked["usable"], [row["subject"] for row in looked["subjects"]]) == (True, ["anna", "ben"])
    report = poseedge("eval", small_bundle, "--data", lab, "--json").json
    assert (report["dataset"], report["frames"], list(report["by_action"])) == ("lab", 32, ["Walking"])
    cut = poseedge("data", "calib", lab, "-o", captures / "calib", "--json").json
    assert cut["by_action"] == {"Dancing": 1, "Walking": 1}


def test_a_converted_set_trains(poseedge: Command, captures: Path, tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric")
    poseedge("data", "convert", captures / "anna", captures / "ben", "--test", "ben", "-o", captures / "lab")
    (tmp_path / "tiny.toml").write_text(TINY)
    sizes = ["--config", tmp_path / "tiny.toml", "--detected", "gt", "--every", "4", "--threads", "1"]
    outcome = poseedge("train", "--data", captures / "lab", "--output", tmp_path / "run", *sizes)
    assert outcome.status == 0, outcome.err
    report = poseedge("eval", tmp_path / "run" / "best.pth", "--data", captures / "lab", "--json").json
    assert (report["frames"], report["mpjpe_mm"] > 0) == (32, True)


def test_every_verb_says_what_to_type_next(poseedge: Command, captures: Path) -> None:
    lab, calib = captures / "lab", captures / "calib"
    outcomes = [
        poseedge("data", "convert", captures / "ben", "-o", lab),
        poseedge("data", "check", lab),
        poseedge("data", "calib", lab, "-o", calib),
    ]
    assert [outcome.status for outcome in outcomes] == [0, 0, 0]
    assert [outcome.out.strip().splitlines()[-1] for outcome in outcomes] == [
        f"next: poseedge data check {lab}",
        f"next: poseedge eval {bundled_network()} --data {lab} --keypoints gt",
        f"next: poseedge export --model nanohtnet --calib {calib}",
    ]


def test_detections_are_added(poseedge: Command, captures: Path) -> None:
    lab = captures / "lab"
    poseedge("data", "convert", captures / "ben", "-o", lab)
    for number in range(4):
        track = captures / "det" / "ben" / "Walking 1" / f"made-up-{number}.npy"
        track.parent.mkdir(parents=True, exist_ok=True)
        np.save(track, np.random.default_rng(number).uniform(0, 1000, (8, 17, 3)))
    outcome = poseedge("data", "keypoints", captures / "det", "--into", lab, "--kind", "hrnet")
    assert outcome.status == 0
    rows = {row["kind"]: row for row in poseedge("data", "check", lab, "--json").json["keypoints"]}
    assert (rows["hrnet"]["ok"], rows["hrnet"]["error_px"] > 100, rows["gt"]["error_px"] < 0.01) == (True, True, True)


def test_tables_name_what_is_there(poseedge: Command) -> None:
    outcome = poseedge("data", "check", MINI)
    assert outcome.status == 0
    for word in ("S11", "mocap17-mini (videopose3d), 50 frames per second", "detected", "300-350"):
        assert word in outcome.out


def test_a_folder_that_cannot_be_used_exits_with_one(poseedge: Command, tmp_path: Path) -> None:
    folder = excerpt()
    (tmp_path / "bare").mkdir()
    folder.write(tmp_path / "bare")
    folder.path_2d(tmp_path / "bare").unlink()
    outcome = poseedge("data", "check", tmp_path / "bare")
    assert outcome.status == 1
    assert "missing: no 2D keypoints" in outcome.out
    assert f"to do: poseedge data project {tmp_path / 'bare'} makes" in outcome.out
    assert poseedge("data", "project", tmp_path / "bare").status == 0
    assert poseedge("data", "check", tmp_path / "bare").status == 0


def test_bad_input_is_one_message(poseedge: Command, captures: Path) -> None:
    lab = captures / "lab"
    assert_refused(poseedge("data", "check", captures / "none"), "no such data folder")
    assert_refused(poseedge("data", "convert", captures / "none", "-o", lab), "none: no such file or folder")
    assert_refused(poseedge("data", "convert", captures / "ben", "-o", lab, "--units", "feet"), "'feet' is none of m, cm, mm")
    (captures / "empty").mkdir()
    assert_refused(poseedge("data", "convert", captures / "empty", "-o", lab), "empty: no motion", ".bvh")
    assert_refused(poseedge("data", "calib", captures / "ben", "-o", lab), "exactly one data_3d_<name>.npz")
    assert not lab.exists()


@pytest.mark.parametrize("verb", ["check", "convert", "keypoints", "project", "calib"])
def test_help_gives_an_example(poseedge: Command, verb: str) -> None:
    assert "poseedge data" in poseedge("data", verb, "--help").out


def test_test_subjects_may_be_separated_by_comma_and_space(poseedge: Command, captures: Path) -> None:
    made = poseedge(
        "data", "convert", captures / "anna", captures / "ben", "--test", "anna, ben", "-o", captures / "lab", "--json"
    )
    assert (made.json["train"], made.json["test"]) == ([], ["anna", "ben"])


def test_what_was_converted_can_be_trained_on_and_it_is_said_that_nothing_was_detected(poseedge: Command, captures: Path) -> None:
    lab, run, tiny = captures / "lab", captures / "run", captures / "tiny.toml"
    tiny.write_text(TINY)
    assert poseedge("data", "convert", captures / "anna", captures / "ben", "--test", "ben", "-o", lab).status == 0
    outcome = poseedge("train", "--data", lab, "--output", run, "--config", tiny, "--every", "8")
    assert outcome.status == 0, outcome.err
    assert "holds no detected 2D keypoints: training on the true ones" in outcome.err


@pytest.mark.parametrize(
    ("words", "window"),
    [
        ("data calib LAB --output made --frames 8", 8),
        ("pretrain --data LAB --output made --frames 9 --steps 1 --batch 2 --queue 4 --threads 1", 9),
        ("bench BUNDLE --precision fp32 --data LAB --rounds 1 --frames 8 --backend onnxruntime", 27),
    ],
    ids=["calib", "pretrain", "bench"],
)
def test_what_is_wrong_with_the_data_and_its_frame_rate_are_said_once(
    poseedge: Command, tmp_path: Path, small_bundle: Path, words: str, window: int
) -> None:
    folder = excerpt()
    folder.motion = {subject: {a: 1000 * clip for a, clip in clips.items()} for subject, clips in folder.motion.items()}
    assert folder.rig
    folder.rig["fps"] = 100
    (tmp_path / "lab").mkdir()
    places = {"LAB": folder.write(tmp_path / "lab"), "BUNDLE": small_bundle}
    outcome = poseedge(*(places.get(word, word) for word in words.split()))
    assert outcome.status == 0, outcome.err
    said = " ".join((outcome.out + outcome.err).split())
    assert said.count("the motion is in millimetres: times 0.001") == 1
    assert said.count(f"100 frames per second, and the network is taken to know 50: windows of {window} frames") == 1
