"""How long one update takes: ours beside Keras's, TensorFlow's, torch's and optax's.

    python benchmarks/step/step_time.py [--cases one,tiny] [--contenders ours,keras]
                                        [--rounds 3] [--seconds 2]

Each contender runs in a separate process. The contenders of a case run in turn, for
several rounds, so that compared times are from the same minute. A step is the update
alone, with given gradients. Reported per case and contender are

* milliseconds per step (median over rounds of each round's median);
* the ratio to Keras with its defaults (median over rounds of the ratio in the round);
* seconds to the first step (trace and compile);
* gigabytes per second at 28 bytes per parameter, next to this machine's triad
  (a = a / 2 + b · c, 16 bytes);
* the peak of the process's memory.

Contenders that are not installed (torch, optax) are left out with a message. For
embedding tables, GB/s counts only the distinct rows of the step.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.processes import run_worker
from benchmarks.results import print_table, write_results
from benchmarks.step.cases import CASES, parameter_count
from benchmarks.step.contenders import (
    NEEDED_ENVIRONMENT,
    NEEDED_PACKAGE,
    contenders_of,
    step_of,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def measure(case: str, contender: str, seconds: float) -> dict[str, float]:
    """Run one contender in this process."""
    step = step_of(case, contender)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    step()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "ms": 1e3 * statistics.median(times),
        "first_step_seconds": first,
        "peak_mb": peak_kib / 1024,
    }


def triad_gb_per_second() -> float:
    """Speed of a = a / 2 + b · c over arrays too large for any cache, all cores.

    Three arrays are read and one of them is written: 16 bytes an entry.
    """
    import jax
    import jax.numpy as jnp

    a, b, c = (jnp.ones(2**25) for _ in range(3))
    # The first array is donated, so it is overwritten and no new page is needed.
    run = jax.jit(lambda a, b, c: a * 0.5 + b * c, donate_argnums=0)
    a = run(a, b, c).block_until_ready()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        a = run(a, b, c).block_until_ready()
        times.append(time.perf_counter() - start)
    return 16 * 2**25 / statistics.median(times) / 1e9


def compare(
    case: str, contenders: list[str], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """All contenders of a case, interleaved."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    triads = []
    for _ in range(rounds):
        triads.append(run_worker(__file__, ["triad"])["gb_per_second"])
        for name in contenders:
            runs[name].append(
                run_worker(
                    __file__, [case, name, str(seconds)], NEEDED_ENVIRONMENT.get(name)
                )
            )
    parameters = parameter_count(case)
    rows = []
    for name, results in runs.items():
        ratios = [
            {key: mine[key] / base[key] for key in ("ms", "first_step_seconds")}
            for mine, base in zip(results, runs["keras"], strict=True)
        ]
        ms = statistics.median(result["ms"] for result in results)
        rows.append(
            {
                "case": case,
                "contender": name,
                "ms": ms,
                "ratio": statistics.median(ratio["ms"] for ratio in ratios),
                "first_step_seconds": statistics.median(
                    result["first_step_seconds"] for result in results
                ),
                "first_step_ratio": statistics.median(
                    ratio["first_step_seconds"] for ratio in ratios
                ),
                "gb_per_second": 28 * parameters / ms / 1e6,
                "triad_gb_per_second": statistics.median(triads),
                "peak_mb": statistics.median(r["peak_mb"] for r in results),
            }
        )
    return rows


COLUMNS = {
    "case": "case",
    "contender": "contender",
    "ms": "ms per step",
    "ratio": "ratio to Keras",
    "first_step_seconds": "s to the first step",
    "first_step_ratio": "ratio to Keras",
    "gb_per_second": "GB/s",
    "triad_gb_per_second": "triad GB/s",
    "peak_mb": "peak MB",
}


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--contenders", help="separated by ';'; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    wanted = arguments.contenders and arguments.contenders.split(";")
    for case in arguments.cases.split(","):
        contenders = [
            name
            for name in contenders_of(case)
            if name == "keras"
            or (_is_installed(name) and (not wanted or name in wanted))
        ]
        rows = compare(case, contenders, arguments.rounds, arguments.seconds)
        print_table(rows, COLUMNS)
        # A file per case, so that measuring one again does not change the others.
        print(f"written: {write_results('step_time', rows, part=case).name}")


def _is_installed(contender: str) -> bool:
    package = NEEDED_PACKAGE.get(contender)
    if package is None or importlib.util.find_spec(package):
        return True
    print(f"{contender} is left out: {package} is not installed.")
    return False


def work(arguments: list[str]) -> None:
    """Measure in this process, and print the result as the last line."""
    if arguments == ["triad"]:
        print(json.dumps({"gb_per_second": triad_gb_per_second()}))
        return
    case, contender, seconds = arguments
    print(json.dumps(measure(case, contender, float(seconds))))


if __name__ == "__main__":
    main()
