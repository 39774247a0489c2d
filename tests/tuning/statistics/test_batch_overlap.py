"""Stable ranges of several batch sizes, worked out by hand."""

import pytest

from tuning.statistics.batch_overlap import gap_between, shared_range, stable_overlap
from tuning.statistics.values import GoodRegion


def region(low, high, *, touches_low=False, touches_high=False):
    return GoodRegion(10.0**low, 10.0**high, high - low, touches_low, touches_high)


def test_the_shared_range_is_from_the_highest_low_to_the_lowest_high_end():
    found = shared_range(
        [region(-4, -1, touches_low=True), region(-3, 0, touches_high=True)]
    )
    assert found == GoodRegion(1e-3, 1e-1, pytest.approx(2.0), False, False)
    # 2 of the 4 decades from 1e-4 to 1.
    assert stable_overlap([region(-4, -1), region(-3, 0)]) == pytest.approx(0.5)


def test_the_shared_range_reaches_an_edge_if_all_do():
    found = shared_range([region(-4, 0, touches_low=True)] * 2)
    assert (found.touches_low_edge, found.touches_high_edge) == (True, False)


def test_flat_curves_overlap_wholly_wherever_their_best_rates_lie():
    assert stable_overlap([region(-5, 1), region(-5, 1), region(-5, 1)]) == 1.0
    assert stable_overlap([region(-2, -2)] * 2) == 1.0


@pytest.mark.parametrize("other", [region(0, 1), None])
def test_without_a_shared_rate_the_overlap_is_0(other):
    regions = [region(-4, -3), other]
    assert shared_range(regions) is None
    assert stable_overlap(regions) == 0.0


def test_the_overlap_needs_two_batch_sizes_and_something_learned():
    assert stable_overlap([region(-4, -3)]) is None
    assert stable_overlap([None, None]) is None
    assert shared_range([]) is None


def test_the_gap_is_0_where_ranges_overlap():
    assert gap_between([region(-4, -3), region(-1, 0)]) == pytest.approx(2.0)
    assert gap_between([region(-4, -2), region(-3, 0)]) == 0.0
