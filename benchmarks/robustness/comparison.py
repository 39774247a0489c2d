"""Compares the contenders of the robustness benchmark with the baseline, by task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.robustness.contenders import BASELINE, Contender
from benchmarks.robustness.measures import (
    Runs,
    best_losses,
    complete_seeds,
    draws_of,
    figures,
    gather,
    geometric_mean_ratio,
    target_of,
)
from benchmarks.robustness.sweeps import RATES, Setting
from benchmarks.robustness.tasks import BATCH_SIZE, EPOCHS, TASKS
from tuning import RunRecord
from tuning.statistics.seed_losses import percentiles

Records = Mapping[Setting, Mapping[str, Sequence[RunRecord]]]
"""Records by setting and contender."""

RATIOS = (
    "s_wide",
    "s_narrow",
    "s_wide_shared",
    "s_narrow_shared",
    "best_loss",
    "loss_at_1e-3",
    "loss_at_default",
    "s_wide_training",
    "best_training_loss",
)
"""Figures whose ratios to the baseline are averaged over tasks."""

FINE_TUNING = "fine-tuning"


class Compared(NamedTuple):
    """The contenders that can be compared in one setting.

    Attributes:
        seeds: that every contender here has.
        draws: of seeds; the first has every seed once.
        runs: by contender, the baseline among them.
        figures: by contender and name, ``(draws,)`` each.
    """

    seeds: tuple[int, ...]
    draws: np.ndarray
    runs: Mapping[str, Runs]
    figures: Mapping[str, Mapping[str, np.ndarray]]


def shared_seeds(records: Records) -> tuple[int, ...]:
    """Seeds that the baseline has in every setting where it has any."""
    found = [
        complete_seeds(of_contenders.get(BASELINE, ()), RATES)
        for of_contenders in records.values()
    ]
    return (
        tuple(sorted(frozenset.intersection(*filter(None, found))))
        if any(found)
        else ()
    )


def compare(
    setting: Setting,
    of_contenders: Mapping[str, Sequence[RunRecord]],
    contenders: Mapping[str, Contender],
    seeds: Sequence[int],
) -> Compared | None:
    """The figures of all contenders that have these seeds in one setting.

    ``None`` if the baseline lacks one of these seeds.
    """
    if not seeds:
        return None
    runs = {
        name: gather(of_contenders[name], RATES, seeds)
        for name in contenders
        if complete_seeds(of_contenders.get(name, ()), RATES).issuperset(seeds)
    }
    if BASELINE not in runs:
        return None
    draws = draws_of(len(seeds))
    shared = np.min([best_losses(one, draws) for one in runs.values()], axis=0)
    target = target_of(runs[BASELINE], draws)
    steps = math.ceil(setting.length * BATCH_SIZE // EPOCHS / setting.batch_size)
    found = {
        name: figures(
            one,
            draws,
            shared_best=shared,
            target=target,
            default_rate=contenders[name].default_rate,
            steps_per_epoch=steps,
        )
        for name, one in runs.items()
    }
    return Compared(tuple(seeds), draws, runs, found)


def task_rows(setting: Setting, compared: Compared) -> list[dict[str, Any]]:
    """One row per contender: its figures in one setting, and ratios to the baseline."""
    rows = []
    base = compared.figures[BASELINE]
    for name, found in compared.figures.items():
        row = {
            "task": setting.task,
            "family": TASKS[setting.task].family,
            "contender": name,
            **{figure: _plain(values[0]) for figure, values in found.items()},
            "losses": [_plain(one) for one in compared.runs[name].losses.mean(axis=1)],
        }
        for figure in RATIOS:
            ratio = geometric_mean_ratio([found[figure]], [base[figure]])
            row[f"{figure}_ratio"] = _plain(ratio[0])
        rows.append(row)
    return rows


def summary_rows(compared: Mapping[Setting, Compared]) -> list[dict[str, Any]]:
    """One row per contender over all settings: geometric means of ratios, and shares.

    A contender that lacks a setting is compared over those that it has; ``settings``
    is their number.
    """
    names = dict.fromkeys(name for one in compared.values() for name in one.figures)
    return [_summary_row(name, compared) for name in names]


def _summary_row(name: str, compared: Mapping[Setting, Compared]) -> dict[str, Any]:
    settings = [setting for setting, one in compared.items() if name in one.figures]
    own = {setting: compared[setting].figures[name] for setting in settings}
    base = {setting: compared[setting].figures[BASELINE] for setting in settings}
    row: dict[str, Any] = {"contender": name, "settings": len(settings)}

    def note(figure: str, values: np.ndarray) -> None:
        seeds = len(compared[settings[0]].seeds)
        row[figure] = _plain(values[0])
        interval = percentiles(values[1:], seeds) if seeds > 1 else None
        if interval:
            row[f"{figure}_interval"] = [_plain(interval.low), _plain(interval.high)]

    def each(
        side: Mapping[Setting, Mapping[str, np.ndarray]], figure: str
    ) -> np.ndarray:
        return np.array([side[setting][figure] for setting in settings])

    for figure in RATIOS:
        note(figure, geometric_mean_ratio(each(own, figure), each(base, figure)))
    bad, base_bad = each(own, "bad_share"), each(base, "bad_share")
    note("bad_share", bad.mean(axis=0))
    note("bad_ratio", _share_ratio(bad.mean(axis=0), base_bad.mean(axis=0)))
    note("worst_bad_excess", (bad - base_bad).max(axis=0))
    note("decades", each(own, "decades").mean(axis=0))
    best_ratios = each(own, "best_loss") / each(base, "best_loss")
    note("worst_best_loss", best_ratios.max(axis=0))
    row["worst_task"] = settings[int(best_ratios[:, 0].argmax())].task
    row.update(
        _steps(each(own, "steps_to_target")[:, 0], each(base, "steps_to_target")[:, 0])
    )
    tuned = [one for one in settings if TASKS[one.task].family == FINE_TUNING]
    if tuned:
        figure = "early_loss_at_low_rates"
        sides = [[side[setting][figure] for setting in tuned] for side in (own, base)]
        note("fine_tuning_early_loss", geometric_mean_ratio(*sides))
    return row


def _share_ratio(own: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Ratios of shares; 0 without a bad run, even if the baseline has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(own == 0, 0.0, own / base)


def _steps(own: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Steps to the target: the ratio over the tasks where both reach it."""
    both = np.isfinite(own) & np.isfinite(base) & (own > 0) & (base > 0)
    ratio = (
        float(np.exp(np.mean(np.log(own[both] / base[both])))) if both.any() else None
    )
    return {"steps_to_target": ratio, "target_missed": int((~np.isfinite(own)).sum())}


def _plain(value: Any) -> float | None:
    number = float(value)
    return float(f"{number:.5g}") if math.isfinite(number) else None
