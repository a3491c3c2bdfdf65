"""Whatever happened to a file, reading it either works or ends with an error of ours, within seconds and without filling memory.

``make fuzz`` goes on for longer, ``make fuzz SECONDS=3600`` as long as you like.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from poseedge.backends.registry import load
from poseedge.bundle.reading import open_bundle
from poseedge.data.asf_amc import read_amc, read_asf, world_positions
from poseedge.data.bvh import read_bvh
from poseedge.data.sources import open_dataset
from poseedge.engines.facts import read_facts, write_engine
from poseedge.errors import PoseedgeError
from poseedge.export.recipe import load_recipe
from poseedge.models.checkpoints import read_checkpoint
from poseedge.training import recipe as training
from tests.fuzz.conftest import Fuzz
from tests.fuzz.damage import DAMAGES, Damage
from tests.fuzz.documents import ENGINE
from tests.fuzz.reader import reader
from tests.support import acclaim_files, folders, samples
from tests.support.bvh_files import CMU, write_bvh
from tests.support.checkpoint_files import safetensors, state
from tests.support.mpi_files import by_sequence
from tests.support.training import recipe as training_recipe
from tests.support.training import trained
from tests.support.training import training as training_of

pytestmark = pytest.mark.slow
LONGEST_S = 20.0  # that one reading may take on a busy machine
MOST_BYTES = 1 << 30  # by which reading damaged files may raise this process's peak


@dataclass(frozen=True)
class Kind:
    """A folder with one file in it that is damaged, and what reads it."""

    write: Callable[[Path, Path], object]  # fresh folder, inputs of the small export
    file: str
    read: Callable[[Path], object]


def copy(name: str) -> Callable[[Path, Path], object]:
    return lambda folder, inputs: shutil.copy(inputs / name, folder / name)


def bundle_with(name: str) -> Kind:
    return Kind(lambda folder, inputs: shutil.copytree(inputs.parent / "bundle", folder, dirs_exist_ok=True), name, open_bundle)


def read_acclaim(folder: Path) -> object:
    skeleton = read_asf(folder / "07.asf")
    return world_positions(skeleton, read_amc(folder / "07_01.amc", skeleton))


def training_config(folder: Path) -> object:
    return training.load_training_recipe("nanohtnet", str(folder / "config.toml"), [], False)


def state_of(folder: Path) -> object:
    """Go on with the training in ``folder``."""
    return training_of(folder, training_recipe("epochs=1"))


def write_state(folder: Path, _: Path) -> None:
    trained(folder, training_recipe("epochs=1"))


def write_engine_of_nothing(folder: Path, _: Path) -> None:
    write_engine(folder / "a.engine", b"plan", ENGINE)


CONFIG = 'steps = 10\nbatch = 8\n[optimizer]\nlr = 1e-3\n[schedule]\ndecay = 0.9\n[data]\nsource = "recorded"\n'

KINDS = {
    "motion": Kind(lambda f, _: folders.excerpt().write(f), "data_3d_excerpt.npz", open_dataset),
    "keypoints": Kind(lambda f, _: folders.excerpt().write(f), "data_2d_excerpt_gt.npz", open_dataset),
    "cameras": Kind(lambda f, _: folders.excerpt().write(f), "cameras_excerpt.json", open_dataset),
    "3dhp": Kind(lambda f, _: by_sequence(f), "data_test_3dhp.npz", open_dataset),
    "bvh": Kind(lambda f, _: write_bvh(f / "walk.bvh", CMU, "ZYX", 5), "walk.bvh", lambda f: read_bvh(f / "walk.bvh")),
    "checkpoint": Kind(copy("small.pth"), "small.pth", lambda f: load(f / "small.pth")),
    "safetensors": Kind(
        lambda f, _: safetensors(f / "net.safetensors", state()),
        "net.safetensors",
        lambda f: read_checkpoint(f / "net.safetensors"),
    ),
    "training state": Kind(write_state, "state.pth", state_of),
    "engine facts": Kind(write_engine_of_nothing, "a.engine.json", lambda f: read_facts(f / "a.engine")),
    "asf": Kind(lambda f, _: acclaim_files.write(f), "07.asf", read_acclaim),
    "amc": Kind(lambda f, _: acclaim_files.write(f), "07_01.amc", read_acclaim),
    "export recipe": Kind(copy("small.toml"), "small.toml", lambda f: load_recipe(str(f / "small.toml"))),
    "training recipe": Kind(lambda f, _: (f / "config.toml").write_text(CONFIG), "config.toml", training_config),
    "manifest": bundle_with("manifest.json"),
    "samples": bundle_with("samples.npz"),
}


@pytest.fixture(scope="module")
def inputs(export_inputs: Path, small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small export's inputs, with its bundle beside them."""
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(export_inputs, folder / "inputs")
    shutil.copytree(small_bundle, folder / "bundle")
    return folder / "inputs"


@pytest.fixture
def sound(request: pytest.FixtureRequest, inputs: Path, tmp_path: Path) -> tuple[Kind, Path]:
    """Return a kind of file in a folder of its own, readable."""
    kind = KINDS[request.param]
    kind.write(tmp_path, inputs)
    kind.read(tmp_path)
    return kind, tmp_path


@pytest.mark.parametrize("sound", KINDS, indirect=True)
def test_damaged_file_is_read_or_refused(sound: tuple[Kind, Path], fuzz: Fuzz) -> None:
    kind, folder = sound
    before, whole = peak_bytes(), (folder / kind.file).read_bytes()

    def attempt(damage: Damage) -> None:
        (folder / kind.file).write_bytes(damage(whole))
        started = time.monotonic()
        with contextlib.suppress(PoseedgeError):
            kind.read(folder)
        assert time.monotonic() - started < LONGEST_S

    fuzz(DAMAGES, attempt)
    assert peak_bytes() - before < MOST_BYTES


@pytest.mark.parametrize("name", ["lifting graph", "small network"])
def test_damaged_graph_is_read_or_refused_and_crashes_nothing(name: str, inputs: Path, tmp_path: Path, fuzz: Fuzz) -> None:
    path = tmp_path / "a.onnx"
    if name == "small network":
        shutil.copy(inputs.parent / "bundle" / "nanohtnet_int8.onnx", path)
    else:
        samples.lifting_graph(path)
    whole = path.read_bytes()
    with reader() as child:
        assert child.read(path, LONGEST_S) == "read"

        def attempt(damage: Damage) -> None:
            path.write_bytes(damage(whole))
            assert child.read(path, LONGEST_S) in ("read", "refused")

        fuzz(DAMAGES, attempt)


def peak_bytes() -> int:
    """Return the largest resident size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
