"""Bounds of what more seeds would show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95


def upper_bound_of_share(
    failed: int, runs: int, confidence: float = CONFIDENCE
) -> float:
    """The largest share of failing seeds that is compatible with what was seen.

    The bound u solves ``P(X <= failed) = 1 - confidence`` for X binomial with ``runs``
    draws of probability u. With u the quantile of a beta distribution,

        u = B(confidence; failed + 1, runs - failed).

    It is exact: whatever the true share, the bound is below it in at most
    ``1 - confidence`` of all checks.

    Raises:
        ValueError: ``failed`` is not from 0 to ``runs``, or there are no runs.

    Source:
        C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits
        illustrated in the case of the binomial", Biometrika 26 (1934), 404-413.
    """
    if not 0 <= failed <= runs or runs < 1:
        raise ValueError(
            f"failed must be from 0 to the runs, of which there is at least one; "
            f"received {failed} of {runs}."
        )
    if failed == runs:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(failed + 1, runs - failed, confidence))


def next_value_interval(
    values: Sequence[float], widths: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """An interval for one more value, from the values seen: a prediction interval.

        mean ± t(n - 1) · √(1 + 1/n) · √(s² + w²/12)

    with the variance s² of the values and the mean square w² of their widths. It holds
    for values of a normal distribution; each value is known up to an error that is
    uniform over its width, which has the variance w²/12.

    Args:
        values: one per seed.
        widths: how precisely each is known.
        confidence: that it covers the next value.

    Returns:
        ``None`` with fewer than two values.

    Source:
        G. J. Hahn, W. Q. Meeker, "Statistical Intervals", Wiley 1991, chapter 4.
    """
    count = len(values)
    if count < 2:
        return None
    from scipy.special import stdtrit

    variance = statistics.variance(values)
    variance += statistics.fmean(width * width for width in widths) / 12
    factor = float(stdtrit(count - 1, (1 + confidence) / 2)) * math.sqrt(1 + 1 / count)
    half = factor * math.sqrt(variance)
    mean = statistics.fmean(values)
    return mean - half, mean + half
