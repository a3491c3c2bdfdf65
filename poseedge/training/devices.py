"""Processes, devices and precision, through Lightning Fabric."""

from __future__ import annotations

import logging

import torch
from lightning_fabric import Fabric

from poseedge.errors import PoseedgeError


def make_fabric(accelerator: str, devices: str, nodes: int, precision: str) -> Fabric:
    """Return Fabric for ``accelerator`` (auto, cpu, cuda) and ``devices`` of each node: a number, or auto.

    ``auto`` is every GPU there is, else one process on the CPU. Raises ``PoseedgeError`` for devices that are not there.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every process
    gpus = torch.cuda.device_count()
    if accelerator == "auto":
        accelerator = "cuda" if gpus else "cpu"
    if not (devices == "auto" or (devices.isdecimal() and int(devices) > 0)):
        raise PoseedgeError(f"--devices {devices}: expected a number of devices, or auto", "for example --devices 2")
    count = int(devices) if devices != "auto" else max(gpus, 1) if accelerator == "cuda" else 1
    if accelerator == "cuda" and count > gpus:
        raise PoseedgeError(f"{count} GPUs asked for, PyTorch sees {gpus}", "poseedge doctor; or --accelerator cpu")
    # Some networks hold published weights that nothing reads, so not every weight has a gradient.
    strategy = "ddp_find_unused_parameters_true" if count * nodes > 1 else "auto"
    return Fabric(accelerator=accelerator, devices=count, num_nodes=nodes, strategy=strategy, precision=precision)  # type: ignore[arg-type]
