"""One training step: forward, loss, backward, optimizer; on a GPU launched as one CUDA graph."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from poseedge.training import losses
from poseedge.training.batch import Batch
from poseedge.training.objective import LiftingObjective, Objective
from poseedge.training.recipe import TrainingRecipe

WARM_UP = 3  # eager steps before the capture: libraries set themselves up in them
UNSCALED = ("32-true", "bf16-mixed", "bf16-true")  # precisions whose steps decide nothing on the host


class EagerStep:
    """A step as PyTorch runs it, kernel by kernel."""

    def __init__(self, fabric: Fabric, model: Any, optimizer: Any, recipe: TrainingRecipe) -> None:
        """``model`` and ``optimizer`` are what ``fabric.setup`` gave."""
        self.fabric, self.model, self.optimizer, self.recipe = fabric, model, optimizer, recipe

    def __call__(self, batch: Batch, learning_rate: float) -> float:
        """Make the step and return its loss; a loss that is not finite moves no weight."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        loss = self.loss(self.fabric.to_device(batch))
        value = loss.item()
        if math.isfinite(value):
            self.update(loss)
        return value

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of the losses of all pairs."""
        pairs = self.model(*batch)
        return torch.stack([losses.total(self.recipe.loss, predicted.float(), target) for predicted, target in pairs]).sum()

    def update(self, loss: Tensor) -> None:
        """Move the weights."""
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()


class CapturedStep(EagerStep):
    """The same kernels in the same order, launched as one CUDA graph: the weights that come out are the eager step's.

    The first steps are eager ones on a stream of their own, as PyTorch's notes on CUDA graphs ask for. A step whose
    capture fails goes on eagerly, and ``refused`` says why. A loss that is not finite is seen after it has moved the weights.
    """

    def __init__(self, fabric: Fabric, model: Any, optimizer: Any, recipe: TrainingRecipe) -> None:
        super().__init__(fabric, model, optimizer, recipe)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.refused = ""
        self.calls = 0
        self.rate = torch.zeros((), device=fabric.device)
        for group in optimizer.param_groups:
            group["lr"], group["capturable"] = self.rate, True

    def __call__(self, batch: Batch, learning_rate: float) -> float:
        if self.refused:
            return super().__call__(batch, learning_rate)
        self.rate.fill_(learning_rate)
        self.calls += 1
        if self.calls <= WARM_UP or (self.graph is not None and batch[0].shape != self.batch[0].shape):
            return self.beside(batch)  # the last batch of an epoch is smaller
        if self.graph is None and not self.capture(batch):
            return super().__call__(batch, learning_rate)
        assert self.graph is not None
        for ours, given in zip(self.batch, batch, strict=True):
            ours.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.value.item()

    def beside(self, batch: Batch) -> float:
        """Make an eager step on another stream."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = self.loss(self.fabric.to_device(batch))
            self.update(loss)
        torch.cuda.current_stream().wait_stream(stream)
        return loss.item()

    def capture(self, batch: Batch) -> bool:
        """Record the step on buffers of its own, without making it; say whether that could be done."""
        self.batch = Batch(*(torch.empty_like(part, device=self.fabric.device) for part in batch))
        self.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # windows are drawn beside it
                loss = self.loss(self.batch)
                self.fabric.backward(loss)
                self.optimizer.step()
                self.value = loss.detach()
        except RuntimeError as error:  # of CUDA, for what cannot be captured
            torch.cuda.synchronize()
            self.refused = str(error).splitlines()[0]
            return False
        self.graph = graph
        return True


def make_step(
    fabric: Fabric, objective: Objective, model: Any, optimizer: Any, recipe: TrainingRecipe, compiled: bool
) -> EagerStep:
    """Return the captured step where a CUDA graph computes the same, else the eager one."""
    one_gpu = fabric.device.type == "cuda" and fabric.world_size == 1
    plain = isinstance(objective, LiftingObjective) and not compiled and recipe.precision in UNSCALED
    still = recipe.batch_norm_momentum(0, 1) is None  # its schedule would be frozen in the graph
    return (CapturedStep if one_gpu and plain and still else EagerStep)(fabric, model, optimizer, recipe)
