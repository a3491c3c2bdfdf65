"""ONNX Runtime on a GPU that is not there: sessions say that they run on it, compute on the CPU, and bind as on a GPU.

Behaviour and source of each trait:

- ``IOBinding.bind_input`` of host memory copies it to the device at the bind, once (microsoft/onnxruntime#5857 and #15438;
  seen on an H100: a lifter that wrote into the bound array afterwards gave the poses of what lay there before).
- TF32 is on unless the CUDA provider's option ``use_tf32`` is 0 (seen on an H100: 0.10 mm).
- Nodes that a provider does not take run on the CPU without a word.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from poseedge.arrays import AnyArray, Float32Array

CPU = "CPUExecutionProvider"


class DeviceSession(ort.InferenceSession):  # type: ignore[misc]  # it has no stubs
    """A session of which every provider but the CPU's is pretended."""

    on_cpu: frozenset[str] = frozenset()  # operators that no pretended provider takes
    usual: tuple[str, ...] = (CPU,)  # where the options name a plugin's device, that plugin

    def __init__(self, model: Any, sess_options: Any = None, providers: Any = None, **rest: Any) -> None:
        wanted = [(entry, {}) if isinstance(entry, str) else entry for entry in providers or self.usual]
        self.pretended = {name: dict(options) for name, options in wanted if name != CPU}
        super().__init__(model, sess_options, [CPU], **rest)

    @property
    def tf32(self) -> bool:
        """Whether products round their operands to TF32."""
        return any(str(options.get("use_tf32", 1)) != "0" for options in self.pretended.values())

    def get_providers(self) -> list[str]:
        return [*self.pretended, CPU]

    def get_provider_options(self) -> dict[str, dict[str, Any]]:
        return {**self.pretended, CPU: {}}

    def get_provider_graph_assignment_info(self) -> list[Any]:
        """Give every node to the first provider that takes it."""
        device = next(iter(self.pretended), CPU)
        placed: dict[str, list[Any]] = {}
        for part in super().get_provider_graph_assignment_info():
            for node in part.get_nodes():
                placed.setdefault(CPU if node.op_type in self.on_cpu else device, []).append(node)
        return [SimpleNamespace(ep_name=name, get_nodes=lambda own=own: own) for name, own in placed.items()]

    def run(self, output_names: Any, input_feed: dict[str, AnyArray], run_options: Any = None) -> list[AnyArray]:
        feed = {name: rounded(array) if self.tf32 else array for name, array in input_feed.items()}
        return list(super().run(output_names, feed, run_options))

    def io_binding(self) -> Any:
        return Binding(self)

    def run_with_iobinding(self, iobinding: Any, run_options: Any = None) -> None:
        iobinding.run()


class Binding:
    """Inputs on the pretended device, and where outputs go."""

    def __init__(self, session: DeviceSession) -> None:
        self.session = session
        self.device: dict[str, AnyArray] = {}
        self.host: dict[str, AnyArray] = {}

    def bind_input(self, name: str, device_type: str, device_id: int, element_type: Any, shape: Any, address: int) -> None:
        """Copy host memory to the device, now."""
        assert device_type == "cpu"
        bound = at(address, shape, element_type)
        self.device[name] = bound.copy() if self.session.pretended else bound

    def bind_output(self, name: str, device_type: str, device_id: int, element_type: Any, shape: Any, address: int) -> None:
        """Remember where an output goes."""
        assert device_type == "cpu"
        self.host[name] = at(address, shape, element_type)

    def run(self) -> None:
        """Compute from what the device holds."""
        names = list(self.host)
        for name, array in zip(names, self.session.run(names, self.device), strict=True):
            self.host[name][...] = array


def at(address: int, shape: Any, element_type: Any) -> AnyArray:
    """Return the array at ``address`` without copying it."""
    kind = np.dtype(element_type)
    size = int(np.prod(shape)) * kind.itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), kind).reshape(shape)


def rounded(array: AnyArray) -> Float32Array:
    """Return float32 values with the ten fraction bits of TF32, nearest to even left aside."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)


def install(
    monkeypatch: pytest.MonkeyPatch, *providers: str, on_cpu: tuple[str, ...] = (), plugin: bool = False, tells: bool = True
) -> None:
    """Make ONNX Runtime offer ``providers`` beside the CPU's; operators ``on_cpu`` are taken by none of them.

    With ``plugin`` sessions use ``providers`` that they do not name. Sessions of older ONNX Runtimes do not tell where
    their nodes are.
    """
    members: dict[str, Any] = {"on_cpu": frozenset(on_cpu), "usual": providers if plugin else (CPU,)}
    if not tells:
        members["get_provider_graph_assignment_info"] = property(_missing)
    monkeypatch.setattr(ort, "get_available_providers", lambda: [*providers, CPU])
    monkeypatch.setattr(ort, "InferenceSession", type("InferenceSession", (DeviceSession,), members))


def _missing(session: object) -> None:
    raise AttributeError


def recording() -> ort.SessionOptions:
    """Return options under which a session remembers which provider took which node."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options
