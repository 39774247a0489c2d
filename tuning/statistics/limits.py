"""Constants in the definitions of figures."""

from __future__ import annotations

GOOD_TOLERANCE = 0.05
"""Share of the improvement that a good learning rate may miss, by default."""

LEAST_DIFFERENCE = 0.01
"""Two figures of one workload count as even if they differ by less than this share."""

LARGEST_LOSS = 1e100
"""Losses beyond this are not judged, because their sums and differences may not be
finite."""
