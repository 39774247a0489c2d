"""The parts of a report that TensorBoard shows: verdict, heat maps, loss curves.

They are plain values; `tuning.tensorboard.report_events.write_report_run` writes them.
"""

from __future__ import annotations

import numpy as np

from tuning.report import figures
from tuning.report.colours import sweep_scale
from tuning.report.page import render_markdown
from tuning.statistics.values import Summary


def verdict_page(summary: Summary) -> str:
    """The report as Markdown, verdict first."""
    return render_markdown(summary)


def heat_map_images(summary: Summary) -> dict[str, np.ndarray]:
    """The heat map of each optimizer: [height, width, 3] uint8."""
    scale = sweep_scale(summary)
    return {
        optimizer.name: figures.draw_heat_map(
            optimizer.heat_map,
            scale,
            f"{optimizer.name} on {summary.workload}",
            summary.direction,
        )
        for optimizer in summary.optimizers
    }


def losses_by_rate(summary: Summary) -> dict[str, dict[float, float]]:
    """Mean of the objective by learning rate, by ``batch=B/optimizer``."""
    return {
        f"batch={curve.batch_size}/{optimizer.name}": {
            point.learning_rate: summary.shown(point.loss) for point in curve.points
        }
        for optimizer in summary.optimizers
        for curve in optimizer.curves
    }
