"""The networks that benchmarks measure, with weights that are always the same, and records that have a row for each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import read_record, record, versions
from poseedge.bench.machine import machine_facts
from poseedge.export.recipe import load_recipe
from poseedge.graph.graph import Graph
from poseedge.graph.metadata import GraphMetadata
from poseedge.int8.quantize import ORT_DISABLED_OPTIMIZERS
from poseedge.models import create
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import family_of, lifting_names

# A network and its pruned variants, plain one first.
FAMILIES = tuple(
    (plain, *(name for name in lifting_names() if name != plain and family_of(name) == plain))
    for plain in lifting_names()
    if family_of(plain) == plain
)
NETWORKS = tuple(name for family in FAMILIES for name in family)
Row = dict[str, Any]  # of one network


def deterministic(name: str, **config: Any) -> LiftingNetwork:
    """Return the network with initial weights that are the same every time, all moved a little, so that none is 0 or 1."""
    torch.manual_seed(0)
    network = create(name, **config)
    assert isinstance(network, LiftingNetwork)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.add_(0.02 * torch.randn_like(value))
    return network


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """Yield ``folder``, or a temporary one: graphs that an older poseedge made must not be timed by oversight."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def metadata(network: LiftingNetwork, precision: str, graph: Graph) -> GraphMetadata:
    """Return what the runtime must know of a graph to run it as it runs a bundle's."""
    disabled = ORT_DISABLED_OPTIMIZERS if any(graph.of("DequantizeLinear")) else ()
    disabled = (*load_recipe(network.name).onnxruntime.disabled, *disabled)
    frames = network.output_frames
    return GraphMetadata(network.name, network.config, precision, frames, "", "benchmark", ort_disabled_optimizers=disabled)


def record_networks(
    path: Path,
    page: Path | None,
    section: str,
    wanted: Iterable[str],
    measure: Callable[[str], Row],
    table: Callable[[dict[str, Row]], str],
    **facts: Any,
) -> None:
    """Measure the ``wanted`` networks into the record at ``path`` beside ``facts``, and the ``section`` of ``page``.

    Every row says when and on what it was made. Rows of other networks stay. Written after each network, since some take minutes.
    """
    made = f"{today()}, {versions(facts.get('machine') or machine_facts())}"
    rows: dict[str, Row] = read_record(path).get("networks", {})
    for name in wanted:
        rows[name] = {"made": made, **measure(name)}
        rows = {name: rows[name] for name in NETWORKS if name in rows}
        record(path, {**facts, "networks": rows}, table(rows), page, section)


def today() -> str:
    """Return the date, UTC."""
    return datetime.now(timezone.utc).date().isoformat()


def made_on(rows: dict[str, Row]) -> list[str]:
    """Return a line for each day and machine on which rows were made, with their networks."""
    made = sorted({row["made"] for row in rows.values()})
    return [f"- {each.rstrip('.')}: {', '.join(name for name, row in rows.items() if row['made'] == each)}." for each in made]


def notes(rows: dict[str, Row]) -> list[str]:
    """Return a line for each note that rows carry, with their networks."""
    said = sorted({row["note"] for row in rows.values() if row["note"]})
    return [f"- Note, {', '.join(name for name, row in rows.items() if row['note'] == each)}: {each}." for each in said]
