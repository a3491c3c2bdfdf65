"""``poseedge stream`` in a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import poseedge
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from tests.support import motion
from tests.support.linear_lifter import clip_of

PROGRAM = "from poseedge.cli.app import main\nmain()"


def stream(bundle: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, "stream", "--artefact", str(bundle), "--size", "1000x1002", *options]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def test_lines_come_out_as_lift_gives_them(small_bundle: Path) -> None:
    done = stream(small_bundle, "\n".join(motion.json_lines()) + "\n\n", "--look-ahead", "1")
    assert done.returncode == 0, done.stderr
    given = [json.loads(line) for line in done.stdout.splitlines()]
    lifted = lift_clip(poseedge.load(small_bundle), clip_of(motion.coco(), layout="coco17"), LiftOptions(look_ahead=1))
    assert [(line["frame"], line["time"]) for line in given] == [(10 + number, number / 50) for number in range(30)]
    assert [person["id"] for line in given for person in line["people"]] == [5] * 30
    poses = np.array([line["people"][0]["pose_m"] for line in given])
    np.testing.assert_allclose(poses, lifted.poses_m[0], rtol=0, atol=1e-6)
    assert not any(any(line["people"][0]["filled"]) for line in given)


def test_joint_that_is_null_is_missing(small_bundle: Path) -> None:
    rows = [json.loads(line) for line in motion.json_lines(3)]
    rows[1]["people"][0]["keypoints"][9] = None
    done = stream(small_bundle, "\n".join(map(json.dumps, rows)))
    filled = [json.loads(line)["people"][0]["filled"] for line in done.stdout.splitlines()]
    assert [sum(row) for row in filled] == [0, 1, 0], done.stderr
    assert filled[1][13]  # the left wrist


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"frame": 1, "people": [', "line 2: not JSON"),
        ("[1, 2]", "line 2: no 'people'"),
        ('{"people": [{"id": 1}]}', "line 2: a person without a list of 'keypoints'"),
        ('{"people": [{"id": 1, "keypoints": [[1, 2], [3]]}]}', "line 2: keypoints are not rows of numbers"),
        ('{"people": [{"id": "Ann", "keypoints": []}]}', "line 2: 'id': expected a whole number, found 'Ann'"),
        ('{"people": [{"id": 1, "keypoints": [[1, 2, 1]]}]}', "frame 11: expected keypoints (17, 2) or (17, 3) of coco17"),
        ('{"frame": 3, "time": 9, "people": []}', "frame 3 at 9 s comes after frame 10 at 0 s"),
        ('{"people": [{"id": 1, "keypoints": [[1, 2, 1]]}, {"id": 1, "keypoints": [[1, 2, 1]]}]}', "line 2: ids [1, 1]"),
    ],
)
def test_bad_line_is_named_and_the_frames_before_come_out(small_bundle: Path, line: str, error: str) -> None:
    done = stream(small_bundle, f"{motion.json_lines(1)[0]}\n{line}\n", "--fps", "50")
    assert done.returncode == 2
    [good] = [json.loads(row) for row in done.stdout.splitlines()]
    assert (good["frame"], [person["id"] for person in good["people"]]) == (10, [5])
    assert f"error: {error}" in done.stderr
    assert "Traceback" not in done.stderr


def test_reader_may_close_the_pipe(small_bundle: Path) -> None:
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        "stream",
        "--artefact",
        str(small_bundle),
        "--size",
        "1000x1002",
        "--look-ahead",
        "0",
    ]
    process: Any = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write(motion.json_lines()[0] + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["frame"] == 10
    process.stdout.close()
    _, said = process.communicate("\n".join(motion.json_lines()[1:]) + "\n")
    assert (process.returncode, said) == (0, "look-ahead of 0 frames: poses do not wait\n")
