"""Tracing without the memory of all that the network computes.

The tracer holds every tensor that it has seen to the end, but looks at none: MixSTE's window of 243 frames holds 2 GB so. What a
module made on its way to its result is wanted by nobody once it has returned, so its storage is given back then.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

MMAP_THRESHOLD = -3  # of mallopt, in malloc.h
# From how many bytes on glibc gives memory back to the system at once, not only where nothing in use lies behind it: in tracing,
# and otherwise; the latter is as far as it goes by itself, since new pages cost time.
TRACING, USUAL = 1 << 20, 32 << 20


class Results(TorchFunctionMode):
    """Notes all tensors that functions of PyTorch give."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.made += tensors(result)
        return result


@contextlib.contextmanager
def forgetting(module: nn.Module) -> Iterator[None]:
    """While ``module`` runs within, empty what its parts have made and not returned, as soon as they have returned.

    For tracing alone: the values may no longer be asked for. What shares memory with a weight, an input or a result stays.
    """
    give_back_from(TRACING)
    weights = addresses([*module.parameters(), *module.buffers()])
    starts: list[int] = []
    with contextlib.ExitStack() as stack:
        stack.callback(give_back_from, USUAL)
        made = stack.enter_context(Results()).made

        def enter(part: nn.Module, given: Any) -> None:
            starts.append(len(made))

        def leave(part: nn.Module, given: Any, result: Any) -> None:
            with torch._C.DisableTorchFunction():
                start, kept = starts.pop(), weights | addresses([*tensors(given), *tensors(result)])
                for tensor in made[start:]:
                    if tensor.untyped_storage().data_ptr() not in kept:
                        tensor.untyped_storage().resize_(0)
                made[start:] = tensors(result)

        for part in module.modules():
            stack.callback(part.register_forward_pre_hook(enter).remove)
            stack.callback(part.register_forward_hook(leave).remove)
        yield


def give_back_from(size: int) -> None:
    """Have the C library give memory of at least ``size`` bytes back at once; another than glibc does as it thinks best."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, size)


def tensors(values: Any) -> list[Tensor]:
    """Return the tensors among ``values``, however nested."""
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def addresses(values: list[Tensor]) -> set[int]:
    """Return where the memory of these tensors begins."""
    return {value.untyped_storage().data_ptr() for value in values}
