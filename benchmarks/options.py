"""Options that several programs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BundleFolder = Annotated[Path, typer.Argument(help="bundle folder")]
Data = Annotated[Path, typer.Option(help="data set folder")]
Every = Annotated[int, typer.Option(min=1, help="every n-th test clip, its cameras in turn")]
Graphs = Annotated[Path | None, typer.Option(help="folder of graphs that --prepare made; default: made anew")]
Models = Annotated[list[str] | None, typer.Option(help="only these networks (repeat)")]
Name = Annotated[str | None, typer.Option(help="of the weights, for the results' names; default: the network's")]
Page = Annotated[Path, typer.Option(help="page of the documentation that shows the table")]
PageIfAny = Annotated[Path | None, typer.Option(help="page of the documentation that shows the table; default: none")]
Precisions = Annotated[list[str] | None, typer.Option(help="of the bundle (repeat); default: fp32 and int8")]
Prepare = Annotated[bool, typer.Option("--prepare", help="only make the graphs, in --graphs: that needs no idle machine")]
Results = Annotated[Path, typer.Option(help="folder for the JSON file and the table")]
