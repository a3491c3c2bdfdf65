"""What each network is and costs, beside what was published of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poseedge.errors import require
from poseedge.network_files import network_files, read_table
from poseedge.resources import resource

if TYPE_CHECKING:
    from poseedge.models.network import LiftingNetwork


def network_facts() -> list[dict[str, Any]]:
    """Return one row per lifting network at its default configuration; nothing is run on data.

    Sizes stand in the networks' files; one whose file has none is built and counted, which needs PyTorch.
    """
    return [row_of(name, read_table(name, "default") or counted_default(name)) for name in network_files()]


def row_of(name: str, sizes: dict[str, int]) -> dict[str, Any]:
    """Return one network's row: its sizes, and its accuracy as published."""
    published = read_table(name, "published")
    return {
        "name": name,
        "parameters": sizes["parameters"],
        "flops": sizes["flops"],
        "flops_per_output_frame": sizes["flops"] // sizes["frames_out"],
        "frames": sizes["frames"],
        "frames_out": sizes["frames_out"],
        "look_ahead": sizes["look_ahead"],
        "weights_bundled": resource("weights", f"{name}.pth").is_file(),
        "reconstruction": bool(published.get("reconstruction", False)),
        "published": published,
    }


def counted_default(name: str) -> dict[str, int]:
    """Return the sizes of network ``name`` at its default configuration, counted without computing anything."""
    torch = require("torch", "export")
    from poseedge.models.network import LiftingNetwork
    from poseedge.models.registry import create

    with torch.device("meta"):
        network = create(name)
    assert isinstance(network, LiftingNetwork)
    return sizes_of(network)


def sizes_of(network: LiftingNetwork) -> dict[str, int]:
    """Return parameters, FLOPs and frames of ``network``, which loses its weights: the table ``default`` of its file."""
    from poseedge.models.flops import meta_flops

    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "flops": meta_flops(network),
        "frames": network.frames,
        "frames_out": len(network.output_frames),
        "look_ahead": network.frames - 1 - max(network.output_frames),
    }
