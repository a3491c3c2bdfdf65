"""What one CUDA GPU says: poses, latency, the CUDA layer and training speed, in one run of a few minutes.

    python -m benchmarks gpu BUNDLE --checkpoint weights/nanohtnet.pth

BUNDLE: NanoHTNet with a free batch (``poseedge export --model nanohtnet --free-batch``). What the machine lacks (ONNX
Runtime's CUDA build, pycuda) is said and left out. Writes ``results/gpu_<card>.json`` and ``.md``.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.options import Data, Results
from benchmarks.record import RESULTS, grid, record, slug
from poseedge.backends.registry import load
from poseedge.backends.torch import TorchLifter
from poseedge.bundle.reading import Bundle, open_bundle
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.engines import cuda as layer
from poseedge.errors import PoseedgeError
from poseedge.evaluation.parity import parity
from poseedge.evaluation.predict import Prediction, predict
from poseedge.lifter import Lifter
from poseedge.models import load_checkpoint
from poseedge.models.network import LiftingNetwork
from poseedge.resources import resource
from poseedge.training import recipe as recipes
from poseedge.training import step as steps
from poseedge.training.devices import make_fabric
from poseedge.training.loop import Training
from poseedge.training.setup import set_up

SECONDS = 1.0  # of timed calls for each form, after as much of warming up
BATCHES = (1, 64)
WARM_STEPS, TIMED_STEPS = 10, 60
WEIGHTS, DATA = resource("weights", "nanohtnet.pth"), resource("calib_data", "mocap17-mini")
OPENERS = {"pycuda.driver": layer.Pycuda, "cuda.bindings.runtime": layer.CudaPython}


def main(
    bundle: Annotated[Path, typer.Argument(help="NanoHTNet's bundle, exported with --free-batch")],
    checkpoint: Annotated[Path, typer.Option(help="the weights that it was made of")] = WEIGHTS,
    data: Data = DATA,
    every: Annotated[int, typer.Option(min=1, help="poses of every n-th test frame")] = 1,
    results: Results = RESULTS,
) -> None:
    """Measure all that a GPU alone can tell."""
    if not torch.cuda.is_available():
        raise PoseedgeError("PyTorch sees no CUDA GPU here", "run it on a machine with one; nothing is recorded without")
    card = torch.cuda.get_device_name(0)
    report: dict[str, Any] = {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda, "missing": []}
    opened, dataset = open_bundle(bundle), load_dataset(data)
    forms = lifters(opened, checkpoint, report["missing"])
    for name, part in {
        "poses": partial(poses, forms, checkpoint, dataset.of(dataset.test), every),
        "latency": partial(latency, forms),
        "layer": partial(cuda_layer, report["missing"]),
        "training": partial(training, data),
    }.items():
        started = time.monotonic()
        report[name] = part()
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    record(results / f"gpu_{slug(card)}", report, page(report))


def lifters(bundle: Bundle, checkpoint: Path, missing: list[str]) -> dict[str, Lifter]:
    """Return every form that this machine can run, by name; what it cannot is told in ``missing``."""
    network = load_checkpoint(checkpoint)
    assert isinstance(network, LiftingNetwork)
    forms: dict[str, Lifter] = {"PyTorch CUDA FP32": TorchLifter(network.cuda(), checkpoint, torch.get_num_threads())}
    for precision in bundle.precisions:
        try:
            forms[f"ONNX Runtime CUDA {precision}"] = load(bundle.graph(precision), backend="cuda")
        except PoseedgeError as error:
            missing.append(f"ONNX Runtime CUDA {precision}: {error.message}")
    return forms


def poses(forms: dict[str, Lifter], checkpoint: Path, test: PoseDataset, every: int) -> dict[str, Any]:
    """Return how far each form's poses are from PyTorch's on the CPU."""
    reference = predict(load(checkpoint, threads=torch.get_num_threads()), test, every=every)
    return {name: apart(predict(lifter, test, every=every), reference, every) for name, lifter in forms.items()}


def apart(found: list[Prediction], reference: list[Prediction], every: int) -> dict[str, Any]:
    """Return parity without what belongs to joints and limits."""
    result: Any = parity(found, reference, None, every)
    plain = result if isinstance(result, dict) else result.model_dump()
    return {key: plain[key] for key in ("mpjpe_mm", "delta_mpjpe_mm", "distance_mm", "jitter_mm")}


def latency(forms: dict[str, Lifter]) -> dict[str, dict[str, float]]:
    """Return median milliseconds of a call from host array to host array, by form and batch; forms take turns."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, float]] = {name: {} for name in forms}
    for batch in BATCHES:
        windows = rng.uniform(-0.5, 0.5, (batch, next(iter(forms.values())).spec.frames, 17, 2)).astype(np.float32)
        times: dict[str, list[float]] = {name: [] for name in forms}
        for timed in (False, True):
            until = time.monotonic() + SECONDS * len(forms)
            while time.monotonic() < until:
                for name, lifter in forms.items():
                    for _ in range(8):
                        started = time.perf_counter()
                        lifter(windows)
                        if timed:
                            times[name].append(time.perf_counter() - started)
        for name, values in times.items():
            found[name][str(batch)] = 1000 * float(np.median(values))
    return found


def cuda_layer(missing: list[str]) -> dict[str, dict[str, Any]]:
    """Return what ``engines.cuda`` does on this driver, through each library that is installed."""
    found = {}
    for module, opener in OPENERS.items():
        try:
            library = importlib.import_module(module)
        except ImportError as error:
            missing.append(f"{module}: {error}")
            continue
        found[module] = checks(lambda opener=opener, library=library: opener(library))  # type: ignore[misc]
    return found


def checks(fresh: Callable[[], layer.Cuda]) -> dict[str, Any]:
    """Copy, share between threads, open and close; every ``wrong`` should be 0."""
    return {
        "wrong_copies": round_trips(fresh),
        "wrong_in_threads": in_threads(fresh),
        "lost_bytes": lost_bytes(fresh),
        "illegal_address": illegal(fresh),
    }


def round_trips(fresh: Callable[[], layer.Cuda]) -> int:
    """Return how many of fifteen arrays did not come back as they went."""
    rng, wrong, device = np.random.default_rng(0), 0, fresh()
    with device:
        for dtype in (np.float32, np.float16, np.int8, np.int64, np.bool_):
            for shape in ((64, 243, 17, 2), (1,), (3, 1, 5)):
                buffer, value = device.allocate(shape, dtype), (rng.random(shape) * 100).astype(dtype)
                np.copyto(buffer.host, value)
                device.upload(buffer.host, buffer.device)
                device.wait()
                buffer.host[...] = 0
                device.download(buffer.host, buffer.device)
                device.wait()
                wrong += not np.array_equal(buffer.host, value)
    device.close()
    return wrong


def in_threads(fresh: Callable[[], layer.Cuda], threads: int = 8, turns: int = 50) -> int:
    """Return how many of ``threads`` x ``turns`` copies were wrong, each thread with a device of its own."""
    wrong = [turns] * threads

    def work(number: int) -> None:
        device = fresh()
        with device:
            buffer = device.allocate((8, 243, 17, 2), np.float32)
            for turn in range(turns):
                buffer.host[...] = 100 * number + turn
                device.upload(buffer.host, buffer.device)
                device.wait()
                buffer.host[...] = 0
                device.download(buffer.host, buffer.device)
                device.wait()
                wrong[number] -= bool((buffer.host == 100 * number + turn).all())
        device.close()

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(wrong)


def lost_bytes(fresh: Callable[[], layer.Cuda], cycles: int = 50) -> int:
    """Return how much device memory opening and closing loses."""

    def cycle() -> None:
        device = fresh()
        with device:
            for _ in range(4):
                device.allocate((64, 243, 17, 2), np.float32)
        device.close()

    cycle()
    before = torch.cuda.mem_get_info()[0]
    for _ in range(cycles):
        cycle()
    return before - torch.cuda.mem_get_info()[0]


def illegal(fresh: Callable[[], layer.Cuda]) -> str:
    """Return what an upload to no memory raises: it should be ``CudaFailure``. The context is lost after it."""
    device = fresh()
    try:
        with device:
            device.upload(np.ones(1 << 20, np.float32), 0xDEAD0000)
            device.wait()
    except Exception as error:
        return type(error).__name__
    return "nothing"


def training(data: Path) -> dict[str, dict[str, float]]:
    """Return steps a second of NanoHTNet's published recipe, kernel by kernel and as a CUDA graph."""
    captured, found = steps.CapturedStep, {}
    for precision in ("32-true", "bf16-mixed"):
        for name, kind in (("eager", steps.EagerStep), ("captured", captured)):
            steps.CapturedStep = kind  # type: ignore[misc, assignment]
            try:
                found[f"{name}, {precision}"] = steps_per_second(data, precision)
            finally:
                steps.CapturedStep = captured  # type: ignore[misc]
    return found


def steps_per_second(data: Path, precision: str) -> dict[str, float]:
    """Train for some steps, and time those after the first."""
    recipe = recipes.load_training_recipe(
        "nanohtnet", settings=[f"precision={precision}", f"steps={WARM_STEPS + TIMED_STEPS}", "evaluate_every=10000"]
    )
    fabric = make_fabric("cuda", "1", 1, precision)
    torch.manual_seed(0)
    job = set_up(recipe, data, device=fabric.device)
    folder = Path(tempfile.mkdtemp())
    marks: list[float] = []
    run = Training(
        fabric,
        job.objective,
        job.source,
        job.recipe,
        folder,
        lambda _: {"none": 0.0},
        lambda _: marks.append(time.perf_counter()),
    )
    run.run()
    shutil.rmtree(folder)
    rate = TIMED_STEPS / (marks[-2] - marks[-2 - TIMED_STEPS]) if len(marks) > TIMED_STEPS + 1 else float("nan")
    return {"steps_per_second": rate, "windows_per_second": rate * recipe.batch, "waited_s": run.waited}


def page(report: dict[str, Any]) -> str:
    """Return the tables."""
    lines = [
        f"# {report['card']}",
        "",
        f"PyTorch {report['torch']}, CUDA {report['cuda']}.",
        *[f"Left out: {m}." for m in report["missing"]],
    ]
    rows = []
    for name, found in report["poses"].items():
        jitter, distance = found["jitter_mm"], found["distance_mm"]
        ratio = f"{jitter['this'] / jitter['against']:.2f}x" if jitter else "-"
        times = report["latency"][name]
        rows.append(
            [name, f"{found['delta_mpjpe_mm']:+.4f}", f"{distance['mean']:.4f}", f"{distance['p99']:.4f}", ratio]
            + [f"{times[str(batch)]:.2f}" for batch in BATCHES]
        )
    heads = ["form", "MPJPE change, mm", "mean distance", "p99", "jitter", *[f"ms, batch {batch}" for batch in BATCHES]]
    lines += ["", *grid(heads, rows), ""]
    rows = [[name, *map(str, found.values())] for name, found in report["layer"].items()]
    if rows:
        lines += [*grid(["library", *next(iter(report["layer"].values()))], rows), ""]
    rows = [
        [name, f"{found['steps_per_second']:.1f}", f"{found['windows_per_second']:.0f}"]
        for name, found in report["training"].items()
    ]
    return "\n".join([*lines, *grid(["NanoHTNet, batch 256", "steps/s", "windows/s"], rows)]) + "\n"


PROGRAM = main
