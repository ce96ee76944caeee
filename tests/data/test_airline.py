"""The airline passengers, by sums of the copies that pmdarima 2.1.1, sktime 1.2 and aeon 1.6 carry.

All 144 numbers of those copies were compared with these.
"""

import numpy as np

from jdl.data.airline import airline_passengers


def test_the_numbers_are_those_of_other_packages():
    series = airline_passengers()
    assert series.shape == (144,) and series.dtype == np.float32
    by_year = series.reshape(12, 12).sum(1).tolist()
    assert by_year == [1520, 1676, 2042, 2364, 2700, 2867, 3408, 3939, 4421, 4572, 5140, 5714]
    assert (series.astype(int) * np.arange(1, 145)).sum() == 3_587_478  # a sum that order changes
    assert (series.astype(int) ** 2).sum() == 13_371_737
