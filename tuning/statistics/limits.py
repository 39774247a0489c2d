"""Numbers that definitions of figures contain."""

from __future__ import annotations

GOOD_TOLERANCE = 0.05
"""Share of the improvement that a good learning rate may miss, by default."""

LEAST_DIFFERENCE = 0.01
"""Figures of one workload that differ by a smaller share are even."""

LARGEST_LOSS = 1e100
"""A loss beyond it is not judged: sums and differences of such losses are no longer
numbers."""
