"""Whether a check gives the verdict of the full grid, and with how much training.

    python benchmarks/lab/check_quality.py --grids DIR [--train] [WORKLOAD ...]

``DIR`` holds one sweep per workload: the whole grid of keras.Adam and
keras_adam.Adam.robust at 25 learning rates, a quarter of a decade apart, three batch
sizes and three seeds. ``--train`` trains what is missing of them first. Every learning
rate of the grid then is the setting of one check of each optimizer at the middle batch
size, and the check's runs are answered from the grid's records. The verdict and the
edges of each check are compared with those from all records.

    python benchmarks/lab/check_quality.py --coverage [--seeds 60] [--grids DIR]

trains the digits perceptron with many seeds around its edges, draws checks of five
seeds from them, and counts how often the stated bounds cover the other seeds.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.results import print_table, write_results
from tuning.grid import Grid
from tuning.plan import read_plan
from tuning.records import RunRecord
from tuning.runs_file import read_records
from tuning.search.check_search import space_of, wanted_runs
from tuning.setting import MOST_RUNS, CheckPlan, Rule, Setting
from tuning.statistics.exact_bounds import next_value_interval, upper_bound_of_share
from tuning.statistics.failing_rates import collect, find_bracket
from tuning.statistics.setting_card import SettingCard, make_card

WORKLOADS = (
    "digits",
    "topics",
    "sentiment",
    "speakers",
    "segmentation",
    "detection",
    "speech-to-text",
    "language-model",
)
OPTIMIZERS = ("keras.Adam", "keras_adam.Adam.robust")
RATES = tuple(float(f"{10 ** (k / 4):.3g}") for k in range(-20, 5))
CLOSE = 0.25
"""Decades; the resolution of the grid."""


class Replay(NamedTuple):
    """A check that was answered from records."""

    records: list[RunRecord]
    card: SettingCard


def train_grid(name: str, directory: Path, epochs: int | None) -> None:
    from tuning import run_sweep
    from tuning.workloads import find_workload

    sizes = sorted(find_workload(name).batch_sizes)
    middle = sizes[len(sizes) // 2]
    run_sweep(
        name,
        directory / name,
        optimizers=OPTIMIZERS,
        learning_rates=RATES,
        batch_sizes=(middle // 2, middle, 2 * middle),
        seeds=3,
        epochs=epochs,
    )


def replay(
    records: Sequence[RunRecord],
    grid: Grid,
    planned: CheckPlan,
    most_runs: int = MOST_RUNS,
) -> Replay:
    """Run a check, with records in the place of training."""
    space = space_of(grid, planned)
    rates, seeds = sorted(grid.learning_rates), list(grid.seeds)
    known = {(r.optimizer, r.batch_size, r.learning_rate, r.seed): r for r in records}
    chosen: dict[tuple[str, int], list[RunRecord]] = collections.defaultdict(list)
    groups = (space.own, *space.others)
    results = {group: collect([], rates, seeds) for group in groups}
    done: list[RunRecord] = []
    while len(done) < most_runs:
        wanted = next(wanted_runs(space, results), None)
        if wanted is None:
            break
        _, group, (i, seed) = wanted
        record = known[(*group, rates[i], seeds[seed])]
        done.append(record)
        chosen[group].append(record)
        results[group] = collect(chosen[group], rates, seeds)
    card = make_card(done, grid, planned, most_runs=most_runs)
    if card is None:
        raise ValueError(f"no run of {planned.setting} can be judged.")
    return Replay(done, card)


def settings_of(grid: Grid) -> Iterator[Setting]:
    """Every optimizer and learning rate of a grid at its middle batch size."""
    size = sorted(grid.batch_sizes)[1]
    for optimizer in grid.optimizers:
        for rate in sorted(grid.learning_rates):
            yield Setting(optimizer, rate, size)


def judge_workload(name: str, directory: Path, rule: Rule) -> dict[str, Any]:
    records, grid = read_records(directory / name), read_plan(directory / name).grid
    if len(records) < len(grid):
        raise ValueError(
            f"the grid of {name} has {len(records)} of {len(grid)} runs; --train "
            "trains the others."
        )
    steps = sum(record.steps for record in records)
    shares, runs, fails, stable, others = [], [], [], [], []
    same = safe = 0
    for setting in settings_of(grid):
        planned = CheckPlan(setting, rule)
        whole = make_card(records, grid, planned, most_runs=len(grid))
        found = replay(records, grid, planned)
        if whole is None:
            raise ValueError(f"no run of {setting} can be judged.")
        same += found.card.is_safe == whole.is_safe
        safe += whole.is_safe
        shares.append(sum(record.steps for record in found.records) / steps)
        runs.append(len(found.records))
        others += _off_elsewhere(found.card, whole)
        for side in ("below", "above"):
            mine, theirs = (getattr(c.figures, side) for c in (found.card, whole))
            fails.append(abs(mine.decades - theirs.decades))
            ends = mine.stable_decades, theirs.stable_decades
            if None not in ends:
                stable.append(abs(ends[0] - ends[1]))
    return {
        "workload": name,
        "settings": len(runs),
        "safe": safe,
        "same_verdict": same,
        "share_of_steps": max(shares),
        "runs": max(runs),
        "failing_edges_close": sum(x <= CLOSE for x in fails),
        "failing_edges": len(fails),
        "failing_edge_off": max(fails),
        "stable_edges_close": sum(x <= CLOSE for x in stable),
        "stable_edges": len(stable),
        "stable_edge_off": max(stable, default=0.0),
        "other_edges_close": sum(x <= CLOSE for x in others),
        "other_edges": len(others),
    }


def _off_elsewhere(found: SettingCard, whole: SettingCard) -> list[float]:
    """Differences of failing edges at other batch sizes and of the robust optimizer."""
    pairs = list(zip(found.other_sizes, whole.other_sizes, strict=True))
    if found.robust is not None and whole.robust is not None:
        pairs.append((found.robust, whole.robust))
    return [
        abs(getattr(mine, side).decades - getattr(theirs, side).decades)
        for mine, theirs in pairs
        for side in ("below", "above")
    ]


def measure_coverage(directory: Path, seeds: int, epochs: int | None) -> list[dict]:
    """How often bounds from five seeds cover what further seeds show, on digits."""
    from tuning import run_sweep

    rates = [rate for rate in RATES if 1e-4 <= rate <= 0.6]
    grid = Grid(("keras.Adam",), tuple(rates), (64,), tuple(range(seeds)), epochs or 15)
    records = run_sweep("digits", directory / "coverage", grid=grid)
    tried = collect(records, rates, list(grid.seeds))
    rng = np.random.default_rng(1)
    rule, start, drawn, rounds = Rule(), rates.index(1e-3), 5, 2000
    rows = []
    for step, side in ((-1, "below"), (1, "above")):
        found = [
            find_bracket(tried, tried.of_seed(s), start, step, rule.max_loss_gap)
            for s in range(seeds)
        ]
        covered = []
        for _ in range(rounds):
            some = rng.permutation(seeds)[: drawn + 1]
            *seen, fresh = (found[s] for s in some)
            ends = next_value_interval(
                [bracket.decades for bracket in seen],
                [bracket.width for bracket in seen],
            )
            if ends is not None:
                covered.append(ends[0] <= fresh.decades <= ends[1])
        rows.append(_coverage_row(f"distance {side}, one more seed", covered))
    for index in range(len(rates)):
        losses = [tried.losses[index, s] for s in range(seeds)]
        failed = np.array(
            [x is not None and tried.missed_share(x) > 0.2 for x in losses]
        )
        share = failed.mean()
        if 0.02 < share < 0.98:
            covered = []
            for _ in range(rounds):
                some = rng.permutation(seeds)[:drawn]
                bound = upper_bound_of_share(int(failed[some].sum()), drawn)
                rest = np.delete(failed, some).mean()
                covered.append(rest <= bound)
            what = f"share of failing seeds at {rates[index]:g} ({share:.2f})"
            rows.append(_coverage_row(what, covered))
    return rows


def exact_coverage(count: int) -> dict[str, Any]:
    """The least coverage of the Clopper-Pearson bound over all true shares."""
    from scipy.stats import binom

    shares = np.linspace(0.001, 0.999, 999)
    bounds = np.array([upper_bound_of_share(k, count) for k in range(count + 1)])
    covers = bounds[None] >= shares[:, None]
    chances = binom.pmf(np.arange(count + 1)[None], count, shares[:, None])
    least = float((chances * covers).sum(axis=1).min())
    what = f"share of failing seeds, {count} seeds, least over all true shares"
    return {"bound": what, "coverage": least, "draws": None}


def _coverage_row(what: str, covered: Sequence[bool]) -> dict[str, Any]:
    return {
        "bound": what,
        "coverage": float(np.mean(covered)),
        "draws": len(covered),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=WORKLOADS)
    parser.add_argument("--grids", type=Path, default=Path("sweeps/grids"))
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    if arguments.coverage:
        rows = [exact_coverage(count) for count in (3, 5, 10)]
        rows += measure_coverage(arguments.grids, arguments.seeds, arguments.epochs)
    else:
        rows = []
        for name in arguments.workloads:
            if arguments.train:
                train_grid(name, arguments.grids, arguments.epochs)
            rows.append(judge_workload(name, arguments.grids, Rule()))
    print_table(rows, {name: name.replace("_", " ") for name in rows[0]})
    part = "coverage" if arguments.coverage else ""
    print(f"written: {write_results('check_quality', rows, part).name}")


if __name__ == "__main__":
    main()
