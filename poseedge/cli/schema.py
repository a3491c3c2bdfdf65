"""Write the JSON schemas of what poseedge writes: ``python -m poseedge.cli.schema docs/schema``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from poseedge.bench.results import BenchReport
from poseedge.bundle.manifest import Description, Manifest
from poseedge.data.rig import CamerasFile
from poseedge.evaluation.results import Evaluation
from poseedge.export.recipe import Recipe
from poseedge.files import atomic_write
from poseedge.training.recipe import TrainingRecipe

DOCUMENTS: dict[str, type[BaseModel]] = {
    "manifest": Manifest,  # of a bundle
    "export": Description,  # poseedge export --json
    "eval": Evaluation,  # poseedge eval --json
    "bench": BenchReport,  # poseedge bench --json
    "cameras": CamerasFile,  # cameras_<name>.json
    "export_recipe": Recipe,
    "training_recipe": TrainingRecipe,
}


def schemas() -> dict[str, str]:
    """Return the text of every schema by name."""
    return {name: json.dumps(schema(model), indent=1) + "\n" for name, model in DOCUMENTS.items()}


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a document, draft 2020-12."""
    return {"$schema": GenerateJsonSchema.schema_dialect, **model.model_json_schema()}


def main(folder: Path) -> None:
    """Write a file for each document into ``folder``."""
    for name, text in schemas().items():
        with atomic_write(folder / f"{name}.schema.json") as temporary:
            temporary.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs") / "schema")
