"""MultiRocket against one window, kernel and sample at a time in float64."""

import numpy as np
import pytest

from imujax.sweep import rocket

KERNELS = 84 * 7


def signals(windows=6, samples=40, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(windows, samples, channels)).cumsum(axis=1)
    return (x * [1, 10, 0.1][:channels] + 5).astype(np.float32)


def standardised(fitted, window, order):
    """One window [T, C], as the kernels of a representation see it."""
    x = (window.astype(np.float64) - fitted.mean) / fitted.scale
    return np.diff(x, axis=0) if order else x


def output(x, weight, dilation, kernel):
    """Of one kernel, sample by sample; zeros stand around the window [T, C]."""
    taps = weight.reshape(x.shape[1], 9, 84)[:, :, kernel]
    total = np.zeros(len(x))
    for t in range(len(x)):
        for tap in range(9):
            place = t + (tap - 4) * dilation
            if 0 <= place < len(x):
                total[t] += taps[:, tap] @ x[place]
    return total


def pooled(values, bias):
    """The four numbers, by a loop."""
    above = [value - bias for value in values if value > bias]
    places = [place for place, value in enumerate(values) if value > bias]
    longest = run = 0
    for value in values:
        run = run + 1 if value > bias else 0
        longest = max(longest, run)
    if not above:
        return 0.0, 0.0, -1.0, 0
    return len(above) / len(values), np.mean(above), np.mean(places), longest


@pytest.mark.parametrize("samples", [40, 12, 5, 2])
def test_features_are_those_of_a_loop(samples):
    """Lengths of their own, among them windows that are shorter than a kernel."""
    x = signals(samples=samples)
    length = np.array([samples, samples, max(samples - 3, 1), samples // 2, 2, 1])
    fitted = rocket.fit_rocket(x, length, KERNELS, 0)
    features = rocket.transform(fitted, x, length)
    place, checked = 0, 0
    for order, kernels in enumerate(fitted.representations):
        for number, dilation in enumerate(kernels.dilations):
            biases = kernels.biases[number]
            block = features[:, place : place + 4 * biases.size].reshape(6, 4, *biases.shape)
            place += 4 * biases.size
            for window in range(6):
                count = max(length[window] - order, 1)
                series = standardised(fitted, x[window], order)[:count]
                if order and length[window] == 1:
                    series = np.zeros((1, 3))  # a single sample has no difference
                for kernel in (0, 1, 40, 83):
                    values = output(series, kernels.weights[number], dilation, kernel)
                    reach = 4 * dilation
                    if (kernel + number) % 2 and count > 2 * reach:
                        values = values[reach : count - reach]
                    for row, bias in enumerate(biases[:, kernel]):
                        if np.abs(values - bias).min() < 1e-4:
                            continue  # float32 may see it on the other side
                        expected = pooled(values, bias)
                        np.testing.assert_allclose(
                            block[window, :, row, kernel], expected, rtol=1e-4, atol=1e-4
                        )
                        checked += 1
    assert place == features.shape[1] == 2 * 4 * KERNELS
    assert checked > 200


def test_kernels_dilations_and_biases_are_those_of_the_papers():
    """Weights -1 and 2 that sum to 0; biases at the golden ratio's quantiles of a window."""
    x = signals(windows=1, samples=64)
    fitted = rocket.fit_rocket(x, np.array([64]), 84 * 74, 0)
    for order, kernels in enumerate(fitted.representations):
        assert kernels.dilations.tolist() == [1, 2, 3, 4, 5, 6, 7]  # 8 * 7 + 1 samples of 64
        assert sum(len(biases) for biases in kernels.biases) == 74
        assert len(kernels.biases[0]) > len(kernels.biases[-1])  # exponents are evenly spaced
        weights = kernels.weights.reshape(7, 3, 9, 84)
        is_seen = (weights != 0).any(axis=2)
        assert (is_seen.sum(axis=1) >= 1).all() and 0.3 < is_seen.mean() < 0.9
        seen = weights.transpose(0, 1, 3, 2)[is_seen]
        assert set(map(tuple, np.sort(seen, axis=1))) == {(*6 * [-1.0], 2.0, 2.0, 2.0)}
        patterns = {tuple(np.flatnonzero(row == 2)) for row in seen}
        assert len(patterns) == 84
        place = 0
        for kernel in range(84):
            values = output(standardised(fitted, x[0], order), kernels.weights[0], 1, kernel)
            for bias in kernels.biases[0][:, kernel]:
                place += 1
                level = place * (1 + 5**0.5) / 2 % 1
                assert bias == pytest.approx(np.quantile(values, level), abs=1e-3)


def test_the_kernels_see_no_more_than_nine_channels():
    x = signals(windows=3).repeat(34, axis=2)  # 102 channels
    fitted = rocket.fit_rocket(x, np.array([40, 40, 20]), 84 * 3, 0)
    weights = fitted.representations[0].weights.reshape(-1, 102, 9, 84)
    counts = (weights != 0).any(axis=2).sum(axis=1)
    assert counts.min() == 1 and 7 <= counts.max() <= 9
