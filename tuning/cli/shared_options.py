"""Options that several commands have: how runs are trained, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuning.data_sources.public_data import DIRECTORY_VARIABLE
from tuning.engines.options import ENGINES
from tuning.options import SCHEDULES

Epochs = Annotated[
    int | None,
    typer.Option(
        help="Passes over the training data per run. [default: that of the workload]"
    ),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        help=f"How the learning rate changes over a run: {', '.join(SCHEDULES)} "
        "(falls to zero). [default: constant, unless the workload has another]"
    ),
]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        envvar=DIRECTORY_VARIABLE,
        help="Directory of real data to train on; missing files are downloaded "
        "into it. [default: embedded data]",
    ),
]
EngineName = Annotated[
    str, typer.Option(help=f"Where runs are trained: {', '.join(ENGINES)}.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of runs at the same time. [default: 1; with ray as many as "
        "the cluster has room for]"
    ),
]
RunTimeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds after which a run is stopped and counts as failed. "
        "[default: no limit]"
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Address of a running Ray cluster. [default: starts Ray on this machine]"
    ),
]
GpusPerRun = Annotated[
    float,
    typer.Option(help="GPUs that Ray reserves for each run; may be a fraction."),
]
