"""How often the intervals of the report hold the truth, by simulation of gains with a known mean.

    python launch/coverage.py                  intervals of 95 %
    python launch/coverage.py --level 0.99     the levels that corrected tests ask for

Gains are mean + subject + start of the (draw, fold) + start of the pre-training + rest, subjects in
five folds. Subjects have the variance 1, the rest of a draw .5, either kind of start what stands at
the head of a column. Subjects are normal, log-normal with a skewness of 1.3, or exponential (2).
Pre-trainings are spread over draws and folds as a sweep does it, or one of three has half of them;
with one there is no variance to see, and the interval is about that one. Where settings are chosen
once for all draws of a fold, they are one more start, with a quarter of the variance. A row ends
with what a t interval of subjects alone, without the starts, would cover at its worst.
"""

import argparse
import itertools

import numpy as np
import scipy.stats

from imujax.report import mixed_model

FOLDS = 5
SUBJECTS, DRAWS = (6, 11, 15, 21), (2, 3, 5)
START_VARIANCES = (0.0, 0.25, 0.5, 1.0)
REST_VARIANCE = 0.5
LOG_SD = 0.4
GOAL = 0.4  # by which the share of studies that miss may differ, relative to what is nominal


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def log_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of mean 0 and variance 1."""
    square = np.exp(LOG_SD**2)
    return (np.exp(LOG_SD * rng.normal(size=shape)) / np.sqrt(square) - 1) / np.sqrt(square - 1)


def exponential(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of mean 0 and variance 1."""
    return rng.exponential(size=shape) - 1


def spread_evenly(draw: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Which of three pre-trainings a run starts from, as a sweep does it."""
    return (draw + fold) % 3


def spread_over_two(draw: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Which of two pre-trainings a run starts from."""
    return (draw + fold) % 2


def spread_unevenly(draw: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The first of three pre-trainings has half of the runs."""
    return np.maximum((draw + fold) % 4 - 1, 0)


SHAPES = {"normal": normal, "log-normal": log_normal, "exponential": exponential}
# How pre-trainings are spread, None where there is one, and whether draws share their settings.
STARTS = {
    "one": (None, False),
    "two": (spread_over_two, False),
    "three": (spread_evenly, False),
    "three, uneven": (spread_unevenly, False),
    "one, shared": (None, True),
    "three, shared": (spread_evenly, True),
}
SHARED_PART = 0.25  # of the variance of starts


def simulate_gains(rng, n, draws, subjects, shape, kind, start_variance):
    """Gains [n, D, S] of n studies whose mean gain is 0, and their layout."""
    spread, is_shared = STARTS[kind]
    blocks = np.array_split(np.arange(subjects), FOLDS)
    fold = np.repeat(np.arange(FOLDS), [len(block) for block in blocks])
    draw = np.arange(draws)[:, None]
    effects = {"own": (draw * FOLDS + fold, start_variance)}
    if spread is not None:
        effects["pre-training"] = (spread(draw, fold), start_variance)
    if is_shared:
        effects["settings"] = (np.tile(fold, (draws, 1)), SHARED_PART * start_variance)
    gains = SHAPES[shape](rng, (n, 1, subjects))
    gains = gains + np.sqrt(REST_VARIANCE) * rng.normal(size=(n, draws, subjects))
    for label, variance in effects.values():
        gains += np.sqrt(variance) * rng.normal(size=(n, label.max() + 1))[:, label]
    return gains, mixed_model.Layout(fold, tuple(label for label, _ in effects.values()))


def covered(gains: np.ndarray, layout: mixed_model.Layout, level: float) -> tuple[float, float]:
    """Shares of the studies whose interval holds 0: by the report, and by subjects alone."""
    estimate = mixed_model.estimate_mean(gains, layout, level)
    alone = scipy.stats.ttest_1samp(gains.mean(axis=1), 0.0, axis=1).pvalue
    return (
        float(np.mean((estimate.low <= 0) & (estimate.high >= 0))),
        float(np.mean(alone >= 1 - level)),
    )


def print_table(n: int, level: float) -> None:
    """A row for each shape, kind of starts, number of subjects and of draws."""
    low, high = (1 - share * (1 - level) for share in (1 + GOAL, 1 - GOAL))
    print(
        f"Coverage of {100 * level:g} % intervals in percent, {n} studies a number "
        f"(error {100 * np.sqrt(level * (1 - level) / n):.1g}); * outside {100 * low:g} to "
        f"{100 * high:g}"
    )
    variances = " ".join(f"{variance:>7g}" for variance in START_VARIANCES)
    print(f"{'gains':12}{'pre-trainings':15}{'subjects':>9}{'draws':>6}{variances}{'alone':>8}")
    cells = itertools.product(SHAPES, STARTS, SUBJECTS, DRAWS)
    outside, total = 0, 0
    for shape, kind, subjects, draws in cells:
        numbers, worst = [], 100.0
        for variance in START_VARIANCES:
            rng = np.random.default_rng(0)
            gains = simulate_gains(rng, n, draws, subjects, shape, kind, variance)
            mixed, alone = covered(*gains, level)
            is_outside = not low <= mixed <= high
            outside, total = outside + is_outside, total + 1
            worst = min(worst, 100 * alone)
            numbers.append(f"{100 * mixed:6.1f}{'*' if is_outside else ' '}")
        print(
            f"{shape:12}{kind:15}{subjects:9}{draws:6}{' '.join(numbers)}{worst:8.1f}",
            flush=True,
        )
    print(f"{outside} of {total} outside")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20_000, help="for each number")
    parser.add_argument("--level", type=float, default=mixed_model.LEVEL, help="of the intervals")
    args = parser.parse_args()
    print_table(args.studies, args.level)


if __name__ == "__main__":
    main()
