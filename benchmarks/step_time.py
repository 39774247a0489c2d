"""How long one update takes: ours beside Keras's, TensorFlow's, torch's and optax's.

    python benchmarks/step_time.py [--cases one,tiny] [--contenders ours,keras]
                                   [--rounds 3] [--seconds 2]

Each contender runs in a process of its own, the contenders of a case in turn, and
that for several rounds: what is compared ran within the same minute. A step is an
update alone, gradients given. Reported per case and contender: milliseconds per step
(median over rounds of each round's median), the ratio to Keras as it comes (median
over rounds of the ratio within the round), seconds to the first step (trace and
compile), gigabytes per second at 28 bytes per parameter beside this machine's triad
(a = a / 2 + b · c, 16 bytes), and the peak of the process's memory.

Contenders that are not installed (torch, optax) are left out, and that is said.
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
from collections.abc import Callable
from typing import Any

import numpy as np
from processes import run_worker
from results import print_table, write_results

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# One thread pool per core, whatever the library: none gets more than another.
CORES = os.cpu_count() or 1


def _gpt_shapes() -> list[tuple[int, ...]]:
    width = 512
    block = [
        *[(width, width), (width,)] * 4,  # attention: query, key, value, output
        *[(width, 4 * width), (4 * width,), (4 * width, width), (width,)],
        *[(width,)] * 4,  # two layer normalisations
    ]
    return [(32000, width), *block * 8]


def _resnet50_shapes() -> list[tuple[int, ...]]:
    """The 161 trainable tensors of ResNet-50, batch normalisation included."""
    shapes: list[tuple[int, ...]] = [(7, 7, 3, 64), (64,), (64,)]
    before = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            for kernel, inputs, outputs in (
                (1, before, width),
                (3, width, width),
                (1, width, 4 * width),
            ):
                shapes += [(kernel, kernel, inputs, outputs), (outputs,), (outputs,)]
            if block == 0:
                shapes += [(1, 1, before, 4 * width), (4 * width,), (4 * width,)]
            before = 4 * width
    return [*shapes, (2048, 1000), (1000,)]


CASES: dict[str, list[tuple[int, ...]]] = {
    "one": [(4096, 8192)],
    "gpt": _gpt_shapes(),
    "resnet50": _resnet50_shapes(),
    "tiny": [(32, 32), (32,)] * 200,
    "sixty": [(64, 64), (64,)] * 30,
}


def _gradients(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") * 1e-2 for shape in shapes]


def _as_arguments(gradients: list[Any]) -> tuple[list[Any], Callable]:
    """Few arguments that carry many gradients, and what takes them apart in a graph.

    Calling a ``tf.function`` with 400 tensors costs 4 ms by itself. In training the
    gradients come from the same graph, so that is no part of a step.
    """
    import tensorflow as tf

    small = [i for i, g in enumerate(gradients) if np.size(g) < 65_536]
    large = [tf.constant(g) for i, g in enumerate(gradients) if i not in small]
    if not small:
        return large, list
    flat = tf.concat([tf.reshape(gradients[i], [-1]) for i in small], 0)

    def restore(arguments: list[Any]) -> list[Any]:
        parts = tf.split(arguments[0], [np.size(gradients[i]) for i in small])
        rest = list(arguments[1:])
        return [
            tf.reshape(parts.pop(0), np.shape(gradient)) if i in small else rest.pop(0)
            for i, gradient in enumerate(gradients)
        ]

    return [flat, *large], restore


def _keras_step(adam: str, mode: str, shapes: list[tuple[int, ...]]) -> Callable:
    import keras
    import tensorflow as tf

    import keras_adam

    variables = [keras.Variable(np.zeros(s, "float32")) for s in shapes]
    gradients = _gradients(shapes)
    make = keras_adam.Adam if adam == "ours" else keras.optimizers.Adam
    optimizer = make(1e-3)
    optimizer.build(variables)

    arguments, restore = [tf.constant(g) for g in gradients], list
    if mode != "eager":
        arguments, restore = _as_arguments(gradients)

    def step(arguments: list[Any]) -> None:
        optimizer.apply(restore(arguments), variables)

    run = step
    if mode != "eager":
        run = tf.function(step, jit_compile=mode == "XLA", autograph=False)

    def call() -> None:
        run(arguments)
        # Reading one entry waits for the step: TensorFlow may return before its end.
        optimizer.iterations.numpy()

    return call


def _resource_apply_step(shapes: list[tuple[int, ...]]) -> Callable:
    import tensorflow as tf

    weights, first, second = (
        [tf.Variable(tf.zeros(s)) for s in shapes] for _ in range(3)
    )
    arguments, restore = _as_arguments(_gradients(shapes))
    step_count = tf.Variable(1.0)

    @tf.function(autograph=False)
    def step(arguments: list[Any]) -> None:
        gradients = restore(arguments)
        for w, m, v, g in zip(weights, first, second, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=0.9**step_count,
                beta2_power=0.999**step_count,
                lr=1e-3,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=g,
            )
        step_count.assign_add(1.0)

    def call() -> None:
        step(arguments)
        step_count.numpy()

    return call


def _torch_step(kind: str, shapes: list[tuple[int, ...]]) -> Callable:
    import torch

    torch.set_num_threads(CORES)
    weights = [torch.zeros(s, requires_grad=True) for s in shapes]
    for weight, gradient in zip(weights, _gradients(shapes), strict=True):
        weight.grad = torch.from_numpy(gradient)
    optimizer = torch.optim.Adam(weights, lr=1e-3, eps=1e-7, **{kind: True})
    return optimizer.step


def _optax_step(shapes: list[tuple[int, ...]]) -> Callable:
    import jax
    import jax.numpy as jnp
    import optax

    optimizer = optax.adam(1e-3, eps=1e-7)
    weights = [jnp.zeros(s) for s in shapes]
    gradients = [jnp.asarray(g) for g in _gradients(shapes)]
    held = [weights, optimizer.init(weights)]

    def step(gradients: list[Any], weights: list[Any], state: Any) -> Any:
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    compiled = jax.jit(step, donate_argnums=(1, 2))

    def call() -> None:
        held[:] = compiled(gradients, *held)
        jax.block_until_ready(held)

    return call


CONTENDERS: dict[str, Callable[[list[tuple[int, ...]]], Callable]] = {
    "keras": lambda s: _keras_step("keras", "graph", s),
    "ours": lambda s: _keras_step("ours", "graph", s),
    "keras, outer XLA": lambda s: _keras_step("keras", "XLA", s),
    "ours, outer XLA": lambda s: _keras_step("ours", "XLA", s),
    "keras, eager": lambda s: _keras_step("keras", "eager", s),
    "ours, eager": lambda s: _keras_step("ours", "eager", s),
    "ResourceApplyAdam": _resource_apply_step,
    "torch fused": lambda s: _torch_step("fused", s),
    "torch foreach": lambda s: _torch_step("foreach", s),
    "optax jit": _optax_step,
}

NEEDED_PACKAGE = {
    "torch fused": "torch",
    "torch foreach": "torch",
    "optax jit": "optax",
}


def measure(case: str, contender: str, seconds: float) -> dict[str, float]:
    """Run one contender in this process."""
    step = CONTENDERS[contender](CASES[case])
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
    # Donated, the first array is written in place: no page is new.
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
            runs[name].append(run_worker(__file__, [case, name, str(seconds)]))
    parameters = sum(int(np.prod(shape)) for shape in CASES[case])
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
    parser.add_argument("--contenders", default=";".join(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    contenders = ["keras"]
    for name in arguments.contenders.split(";"):
        package = NEEDED_PACKAGE.get(name)
        if package and importlib.util.find_spec(package) is None:
            print(f"{name} is left out: {package} is not installed.")
        elif name not in contenders:
            contenders.append(name)
    for case in arguments.cases.split(","):
        rows = compare(case, contenders, arguments.rounds, arguments.seconds)
        print_table(rows, COLUMNS)
        # A file per case: measuring one again leaves the others as they are.
        print(f"written: {write_results('step_time', rows, part=case).name}")


def work(arguments: list[str]) -> None:
    """What one process does; the last line it prints is the result."""
    if arguments == ["triad"]:
        print(json.dumps({"gb_per_second": triad_gb_per_second()}))
        return
    case, contender, seconds = arguments
    print(json.dumps(measure(case, contender, float(seconds))))


if __name__ == "__main__":
    main()
