"""What many tests share: one small export, made once."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest

from tests.support.once import made_once

pytest_plugins = ["tests.doubles.fixtures"]
SLOW_FIXTURES = {"export_inputs", "small_bundle", "mixed_bundle", "poseedge"}
SLOW_HELPERS = {"exported", "simplified", "traced"}  # of tests.support: they trace a network


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where pytest itself runs in the background and is to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Leave out, on a machine without PyTorch such as a Jetson, the files that need it."""
    report = yield
    if report.failed and "No module named 'torch'" in str(report.longrepr):
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, "Skipped: needs PyTorch")
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Call slow what needs an export or types commands, and the files that trace networks."""
    for item in items:
        helpers = SLOW_HELPERS.intersection(vars(getattr(item, "module", None) or item))
        if helpers or SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Give PyTorch one thread, whatever a command asked for in an earlier test: threads of two processes wait for each other."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def export_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``small.pth``, ``small.toml`` and the data set ``data``; read only."""
    pytest.importorskip("torch")
    from tests.support import small_export

    return made_once(tmp_path_factory, "inputs", small_export.write_inputs)


@pytest.fixture(scope="session")
def small_bundle(export_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of the small NanoHTNet in three precisions; read only."""
    from tests.support import small_export

    return made_once(tmp_path_factory, "small", partial(small_export.write_bundle, export_inputs))


@pytest.fixture(scope="session")
def mixed_bundle(export_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of the small NanoHTNet for TensorRT with strong typing, with both forms of INT8; read only."""
    from tests.support import small_export

    board, precisions = "jetson-orin-nano-jp7.2", ("int8", "int8-fp16")
    make = partial(small_export.write_bundle, export_inputs, target_name=board, precisions=precisions)
    return made_once(tmp_path_factory, "mixed", make)


@pytest.fixture
def no_cold_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no processes for memory and cold start, seconds each, which tests/bench/test_memory.py does."""
    from poseedge.bench import measure
    from tests.support import samples

    monkeypatch.setattr(measure, "fresh", lambda *_: samples.fresh())


@pytest.fixture
def own_bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the small bundle that the test may damage."""
    return Path(shutil.copytree(small_bundle, tmp_path / "own"))
