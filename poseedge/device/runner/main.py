"""The command line."""

import argparse
import json
from pathlib import Path
from typing import List, Optional

from poseedge.device.runner.backends import open_runner, tensorrt_for
from poseedge.device.runner.bundle import open_bundle
from poseedge.device.runner.engine.routes import PRECISIONS
from poseedge.device.runner.files import write_atomically
from poseedge.device.runner.measure import measure_run
from poseedge.device.runner.report import format_table, make_report
from poseedge.device.runner.words import Refused, note

FEW = 50  # windows to warm up with, where few are timed


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the bundle that this file lies in; returns the exit status."""
    options = parse_arguments(arguments)
    try:
        check_numbers(options)
        if options.json and not options.json.absolute().parent.is_dir():
            raise Refused("{}: no such folder for the report".format(options.json.parent))
        trt = tensorrt_for(options.backend)
        bundle = open_bundle(Path(__file__).absolute().parent, options.precision, None if options.as_named else trt)
        with open_runner(bundle, options, trt) as runner:
            report = make_report(bundle, runner, measure_run(runner, bundle, options))
        if options.json:
            write_atomically(options.json, json.dumps(report, indent=2, allow_nan=False).encode() + b"\n")
    except (Refused, OSError) as error:
        note(" ".join(str(error).split()))
        return 2
    except KeyboardInterrupt:
        note("interrupted; nothing half-written is left behind")
        return 130
    print(format_table(report))
    return 0 if report["passed"] else 1


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    """Read the command line; exits with status 2 on bad usage."""
    parser = argparse.ArgumentParser(
        description="Build, verify and time this bundle on the device at hand.",
        epilog="example: python3 run.py --precision fp16 --json fp16.json",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="graph to run (default fp32)")
    parser.add_argument("--as-named", action="store_true", help="int8 even where int8-fp16 is taken for it")
    parser.add_argument("--backend", choices=("tensorrt", "onnxruntime"), help="default: tensorrt where it is installed")
    parser.add_argument("--seconds", type=float, default=10, help="time for that long, both forms in turn (default 10)")
    parser.add_argument("--runs", type=int, help="time so many windows of each form instead")
    parser.add_argument("--warmup", type=int, help="windows before (default: until stable, 2 s at least; 50 with --runs)")
    parser.add_argument("--energy", type=float, default=10, help="seconds to measure energy for; 0: not (default 10)")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--workspace-mib", type=int, default=256, help="memory for the build, MiB (default 256)")
    parser.add_argument("--rebuild", action="store_true", help="build the engine even if there is one that fits")
    parser.add_argument("--engines", type=Path, help="folder to keep engines in, for many bundles (default: beside the graph)")
    options = parser.parse_args(arguments)
    if options.warmup is None and options.runs is not None:
        options.warmup = FEW
    return options


def check_numbers(options: argparse.Namespace) -> None:
    """Refuse what makes no sense."""
    runs = 1 if options.runs is None else options.runs
    if runs < 1 or (options.warmup or 0) < 0 or options.workspace_mib < 1:
        raise Refused("--runs and --workspace-mib start at 1, --warmup at 0")
    if not 0 < options.seconds < float("inf") or not 0 <= options.energy < float("inf"):
        raise Refused("--seconds is more than 0, --energy 0 or more")
