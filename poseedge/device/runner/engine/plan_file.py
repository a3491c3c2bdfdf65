"""An engine's file and what is known of it."""

import argparse
import hashlib
import json
import os
import time
from typing import Any, List, Optional

from poseedge.device.runner.bundle import Bundle
from poseedge.device.runner.engine.build import build_plan
from poseedge.device.runner.engine.identity import differences
from poseedge.device.runner.engine.routes import MIXED, NO_INT8, OBEY, basic_route, strongly_typed
from poseedge.device.runner.files import locked, write_atomically
from poseedge.device.runner.machine import board, module_memory_gib, power_mode
from poseedge.device.runner.words import Refused, note


class PlanFile:
    """The engine's file, with a JSON file beside it that says what it was built from and for."""

    def __init__(self, trt: Any, cuda: Any, log: Any, bundle: Bundle, device: Any, options: argparse.Namespace) -> None:
        capability = device.compute_capability()
        if bundle.precision in ("int8", MIXED) and capability in NO_INT8:
            raise Refused("int8: {} (sm_{}{}) has no INT8 hardware; use fp16".format(NO_INT8[capability], *capability))
        if bundle.precision == MIXED and not strongly_typed(trt):
            raise Refused("{}: TensorRT {} takes precision from builder flags; use int8".format(MIXED, trt.__version__))
        self.trt, self.log, self.graph = trt, log, bundle.graph
        self.route = basic_route(trt, bundle.precision)
        self.pinned: List[str] = []
        if self.route.typing == "weak" and bundle.precision != "fp32" and bundle.float32_nodes:
            self.route, self.pinned = self.route._replace(enable=(*self.route.enable, OBEY)), bundle.float32_nodes
        self.workspace_mib, self.rebuild = options.workspace_mib, options.rebuild
        self.identity = {
            "onnx_sha256": bundle.manifest["files"][bundle.graph.name],
            "tensorrt": trt.__version__,
            "cuda": ".".join(str(number) for number in cuda.get_version()[:2]),
            "cuda_driver": cuda.get_driver_version(),
            "sm": "sm_{}{}".format(*capability),
            "gpu": device.name(),
            "board": board(),
            "sms": device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
            "memory_gib": module_memory_gib(device.total_memory()),
            "flags": dict(self.route._asdict(), enable=list(self.route.enable), disable=list(self.route.disable)),
            "pinned_nodes": len(self.pinned),
            "workspace_mib": options.workspace_mib,
        }
        stem = "{}.{tensorrt}.{sm}".format(bundle.graph.stem, **self.identity)
        self.folder = bundle.graph.parent
        if options.engines:  # names repeat from bundle to bundle, graphs do not
            self.folder = options.engines.absolute() / self.identity["onnx_sha256"][:16]
            self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / (stem + ".plan")
        self.sidecar = self.folder / (stem + ".json")
        self.build_s: Optional[float] = None  # None: it was loaded

    def open(self, runtime: Any) -> Any:
        """Return the engine: loaded if the plan fits, else built and written; one process at a time does so in a folder."""
        with locked(self.folder):
            return self.open_alone(runtime)

    def open_alone(self, runtime: Any) -> Any:
        """As ``open``, while no other process builds here: two at once would disturb each other's kernel timings."""
        plan = None if self.rebuild else self.read()
        engine = None if plan is None else runtime.deserialize_cuda_engine(plan)
        if engine is not None:
            return engine
        if plan is not None:
            note("{}: {}; building it again".format(self.path.name, self.log.words()))
        engine = runtime.deserialize_cuda_engine(self.build())
        if engine is None:
            raise Refused("{}: built, but it cannot be loaded: {}".format(self.path, self.log.words()))
        return engine

    def read(self) -> Optional[bytes]:
        """Return the plan if it is whole and was built from this graph for this device, else None."""
        try:
            known = json.loads(self.sidecar.read_text(encoding="utf-8"))
            plan = self.path.read_bytes()
        except (OSError, ValueError):
            return None
        wanted = dict(self.identity, plan_sha256=hashlib.sha256(plan).hexdigest())
        other = differences(known, wanted) if isinstance(known, dict) else ["everything"]
        if other:
            note("{}: not used, it differs in {}; building it again".format(self.path.name, ", ".join(other)))
            return None
        tuned_for = known.get("power_mode")
        if tuned_for != power_mode():
            note("{}: was built in power mode {}; --rebuild tunes it for this one".format(self.path.name, tuned_for))
        return plan

    def build(self) -> bytes:
        """Build the plan and write it with its sidecar."""
        if not os.access(str(self.folder), os.W_OK):  # to be known before a build of minutes
            raise Refused("{}: cannot be written to; keep the engine elsewhere with --engines FOLDER".format(self.folder))
        note("building {}; this takes minutes on a small board".format(self.path.name))
        del self.log.errors[:]
        start = time.perf_counter()
        plan = build_plan(self.trt, self.log, self.graph, self.route, self.pinned, self.workspace_mib)
        self.build_s = time.perf_counter() - start
        write_atomically(self.path, plan)
        facts = dict(self.identity, plan_sha256=hashlib.sha256(plan).hexdigest(), build_s=self.build_s, power_mode=power_mode())
        write_atomically(self.sidecar, json.dumps(facts, indent=2).encode() + b"\n")
        return plan
