"""What each network is and costs, beside what was published of it."""

from __future__ import annotations

from typing import Any

from poseedge.models.flops import meta_flops
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import create, lifting_names
from poseedge.network_files import read_table
from poseedge.resources import resource


def network_facts() -> list[dict[str, Any]]:
    """Return one row per lifting network at its default configuration; nothing is run on data."""
    networks = map(create, lifting_names())
    return [facts_of(network) for network in networks if isinstance(network, LiftingNetwork)]


def facts_of(network: LiftingNetwork) -> dict[str, Any]:
    """Return one network's row: sizes counted here, accuracy as published."""
    published = read_table(network.name, "published")
    frames_out = len(network.output_frames)
    parameters = sum(p.numel() for p in network.parameters())
    flops = meta_flops(network)
    return {
        "name": network.name,
        "parameters": parameters,
        "flops": flops,
        "flops_per_output_frame": flops // frames_out,
        "frames": network.frames,
        "frames_out": frames_out,
        "look_ahead": network.frames - 1 - max(network.output_frames),
        "weights_bundled": resource("weights", f"{network.name}.pth").is_file(),
        "reconstruction": bool(published.get("reconstruction", False)),
        "published": published,
    }
