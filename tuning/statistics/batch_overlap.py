"""How far the stable ranges of an optimizer agree between batch sizes.

The distance between the best learning rates of two batch sizes says little: on a flat
curve the best rate is wherever the noise is lowest. Ranges are compared instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuning.statistics.values import GoodRegion


def shared_range(regions: Sequence[GoodRegion | None]) -> GoodRegion | None:
    """The learning rates that are stable at every batch size.

    ``from max(low_rate) to min(high_rate)``.

    Args:
        regions: one for each batch size; ``None`` where nothing was learned.

    Returns:
        ``None`` if there is no such rate, or nothing was learned at some batch size.
    """
    known = [region for region in regions if region is not None]
    if not known or len(known) < len(regions):
        return None
    low = max(known, key=lambda region: region.low_rate)
    high = min(known, key=lambda region: region.high_rate)
    if low.low_rate > high.high_rate:
        return None
    return GoodRegion(
        low_rate=low.low_rate,
        high_rate=high.high_rate,
        decades=math.log10(high.high_rate / low.low_rate),
        touches_low_edge=low.touches_low_edge,
        touches_high_edge=high.touches_high_edge,
    )


def stable_overlap(regions: Sequence[GoodRegion | None]) -> float | None:
    """The share of the stable learning rates that are stable at every batch size.

    ``log(min(high_rate) / max(low_rate)) / log(max(high_rate) / min(low_rate))``, or 0
    if that is negative: 1 if the batch size does not matter, 0 if no rate is stable at
    all of them, or if nothing was learned at some of them.

    Args:
        regions: one for each batch size; ``None`` where nothing was learned.

    Returns:
        The share, 0 ... 1; ``None`` with fewer than two batch sizes, or if nothing was
        learned at any.
    """
    known = [region for region in regions if region is not None]
    if len(regions) < 2 or not known:
        return None
    shared = shared_range(regions)
    if shared is None:
        return 0.0
    widest = max(r.high_rate for r in known) / min(r.low_rate for r in known)
    # All ranges are one and the same learning rate.
    return shared.decades / math.log10(widest) if widest > 1 else 1.0


def gap_between(regions: Sequence[GoodRegion]) -> float:
    """Decades by which the stable ranges of two batch sizes lie apart.

    ``max(0, log10(max(low_rate) / min(high_rate)))``: 0 if one learning rate is stable
    at all of them.
    """
    highest = max(region.low_rate for region in regions)
    lowest = min(region.high_rate for region in regions)
    return max(0.0, math.log10(highest / lowest))
