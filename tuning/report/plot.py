"""The plot of a page: what its template shows, and the data that scripts draw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.objectives import title_of
from tuning.report import scripts
from tuning.report.colours import sweep_scale
from tuning.report.plot_data import Plotted, all_series, plot_data
from tuning.report.range_bars import axis_of, range_bars
from tuning.statistics.recommendation import Recommendation


def plot_content(
    sweeps: Sequence[Plotted], chosen: Recommendation | None = None
) -> dict[str, Any]:
    """The content of ``plot.html.j2``, and the scripts that the page ends with.

    Args:
        sweeps: judged by the same objective.
        chosen: the setting whose runs are shown first, of the first sweep.

    Returns:
        ``plot``, ``None`` if no run could be judged; and ``scripts``.
    """
    series = all_series(sweeps)
    groups = range_bars(series) if any(_has_curves(one) for one in sweeps) else {}
    if not groups:
        return {"plot": None, "scripts": scripts.inline(scripts.TABLES)}
    data = plot_data(sweeps)
    summary = sweeps[0].summary
    start: Mapping[str, Any] = {"o": 0, "b": next(iter(groups)), "r": None}
    if chosen is not None:
        names = [one.optimizer for one in series]
        start = {
            "o": names.index(chosen.optimizer),
            "b": chosen.batch_size,
            "r": data["rates"].index(chosen.learning_rate),
        }
    return {
        "plot": {
            "axis": json.dumps(axis_of(series)),
            "start": json.dumps(start),
            "is_logarithmic": any(
                sweep_scale(sweep.summary).is_logarithmic for sweep in sweeps
            ),
            "groups": groups,
            "metrics": [metric["title"] for metric in data["metrics"]],
            "label": f"{title_of(summary.loss_name)} against learning rate, one line "
            "per optimizer; the drawings below say the same in words.",
        },
        "plot_style": scripts.inline_style("uplot/uPlot.min.css"),
        "scripts": scripts.inline(scripts.TABLES)
        + scripts.inline_data(data, "plot-data")
        + scripts.inline(*scripts.PLOTS),
    }


def _has_curves(sweep: Plotted) -> bool:
    return any(optimizer.curves for optimizer in sweep.summary.optimizers)
