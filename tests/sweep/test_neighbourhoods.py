"""Neighbourhoods of samples, by a loop over windows."""

import numpy as np

from imujax.sweep import neighbourhoods


def test_each_sample_has_what_lies_around_it_in_its_window():
    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(size=(2, 3, 60, 2, 3))
    length, half = np.array([60, 41, 9]), neighbourhoods.HALF
    around = neighbourhoods.around_samples(acc, gyr, length, 4)
    assert around[0].shape == (3 * 15, 2 * half + 1, 2, 3)
    for window in range(3):
        for number, place in enumerate(range(0, 60, 4)):
            at = min(place, length[window] - 1)
            own = slice(max(at - half, 0), min(at + half + 1, length[window]))
            row = 15 * window + number
            count = own.stop - own.start
            assert around[2][row] == count
            for found, x in zip(around[:2], (acc, gyr), strict=True):
                np.testing.assert_array_equal(found[row, :count], x[window, own])
                assert not found[row, count:].any()


def test_rows_of_samples_follow_those_of_their_windows():
    np.testing.assert_array_equal(neighbourhoods.number_samples([2, 0], 3), [6, 7, 8, 0, 1, 2])
