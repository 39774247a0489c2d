"""Measures an optimizer's memory: its state, and the peak of a process that trains.

The peak is measured in a separate process, which does nothing but train a few steps of
a model of dense layers, nearly all of it weights. So the peak includes weights,
gradients, the optimizer's state, temporary memory of the update, and TensorFlow.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tuning.claims.budgets import PeakModel
from tuning.claims.contenders import STORAGES

logger = logging.getLogger(__name__)

STEPS, BATCH, RATE = 3, 8, 1e-4

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tuning.claims.peak_memory import main; main(sys.argv[2])"
)
"""Code of the process, run with ``-c`` for the same reason as the workers of
`tuning.engines.local`."""


def measure_peak(contender: str, model: PeakModel) -> dict[str, int] | None:
    """Measure the memory of one optimizer in a separate process.

    Args:
        contender: the optimizer's name; see `tuning.optimizer_names`.
        model: what is trained.

    Returns:
        ``peak_bytes`` and ``state_bytes``; ``None`` if the process failed, which is
        logged, or if this system does not report a process's peak.
    """
    request = json.dumps(
        {"contender": contender, "width": model.width, "layers": model.layers}
    )
    ended = subprocess.run(
        [sys.executable, "-c", START, json.dumps(sys.path), request],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["it reported nothing"])[-1]
        logger.warning("Peak memory of %s was not measured: %s", contender, last)
        return None
    measured = json.loads(ended.stdout.splitlines()[-1])
    return measured if measured["peak_bytes"] is not None else None


def main(request: str) -> None:
    """Measure in this process and write the result to its standard output."""
    wanted = json.loads(request)
    measured = _train(wanted["contender"], wanted["width"], wanted["layers"])
    sys.stdout.write(json.dumps(measured) + "\n")


def _train(contender: str, width: int, layers: int) -> dict[str, int | None]:
    import keras
    import numpy as np

    from tuning.trainers.optimizers import build_optimizer, state_bytes

    model = keras.Sequential([keras.layers.Input((width,))])
    for _ in range(layers):
        model.add(keras.layers.Dense(width, activation="relu"))
    model.compile(build_optimizer(contender, RATE), loss="mean_squared_error")
    x = np.random.default_rng(0).random((STEPS * BATCH, width), np.float32)
    model.fit(x, x, batch_size=BATCH, verbose=0)
    peak = peak_of_this_process()
    return {"peak_bytes": peak, "state_bytes": state_bytes(model.optimizer)}


def peak_of_this_process() -> int | None:
    """Peak resident memory so far, in bytes; ``None`` where it is not known.

    On Linux this is ``VmHWM``, because ``getrusage`` there starts from the memory of
    the parent process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


def state_of_storages(workload: Any) -> dict[str, int]:
    """Parameters of a workload's model, and our Adam's state in each of `STORAGES`.

    Returns:
        Bytes by contender, and the number of parameters under ``"parameters"``.
    """
    from tuning.trainers.optimizers import build_optimizer, state_bytes

    model = workload.build_model()
    found = {"parameters": int(model.count_params())}
    for contender in STORAGES:
        optimizer = build_optimizer(contender, 1e-3)
        optimizer.build(model.trainable_variables)
        found[contender] = state_bytes(optimizer)
    return found
