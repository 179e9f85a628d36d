"""How the gain of pre-training grows with steps, people, negatives and more: a law, drawn.

    python launch/growth.py work/growth --out work/growth/growth.png

Of every arm SERIES_VALUE of a study (configs/growth.py), and of `middle`, which belongs to each
series but that of simulated people, r within a subject of the frozen probe (or of the fine-tuned
network), mean over draws, less that of random weights of the same network. Along a series a + b
log10(value) is fitted to the means over subjects. Its slope b, what ten times as much adds, has an
interval of 95 % by resampling subjects and, since every point is one pre-training, the residuals of
the points. Behind the last value the line is an extrapolation, and drawn as one.
"""

import argparse
import pathlib
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from imujax.configs.growth import MIDDLE
from imujax.errors import UserError
from imujax.report import tables
from imujax.runtime import drawing, files
from imujax.sweep import settings

LABELS = {
    "steps": "steps of 512",
    "negatives": "windows of a step",
    "people": "share of the people [%]",
    "width": "channels of each dilation",
    "simulated": "share of simulated people [%]",
}
RESAMPLED = 2000
BEYOND = 30.0  # times the last value to which lines are drawn


class Law(NamedTuple):
    """gain = level + slope * log10(value / last), over a series.

    Attributes
    ----------
    values : ndarray, [V]
    gain : ndarray, [V, S]
        Of each subject, in r over random weights.
    level, slope : float
        At the last value; per tenfold.
    drawn : ndarray, [RESAMPLED, 2]
        Level and slope of each resampling.
    """

    values: np.ndarray
    gain: np.ndarray
    level: float
    slope: float
    drawn: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """Of the slope, 95 %."""
        low, high = np.percentile(self.drawn[:, 1], (2.5, 97.5))
        return float(low), float(high)

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The line at values x [X], and the ends of its interval of 95 %, each [X]."""
        tens = np.log10(np.asarray(x) / self.values[-1])
        lines = self.drawn[:, :1] + self.drawn[:, 1:] * tens
        low, high = np.percentile(lines, (2.5, 97.5), axis=0)
        return self.level + self.slope * tens, low, high


def mean_scores(sweep: tables.Sweep, stage: str = "probe") -> dict[str, dict[str, float]]:
    """r of each subject by arm at one of imujax.sweep.settings.STAGES, mean over draws."""
    at = {run: i for i, run in enumerate(sweep.runs["run"].tolist())}
    lists: dict[str, dict[str, list[float]]] = {}
    for row in sweep.scores:
        arm, of = (sweep.runs[name][at[row["run"]]].item() for name in ("arm", "stage"))
        if of == stage:
            lists.setdefault(arm, {}).setdefault(row["subject"], []).append(row["r"])
    return {
        arm: {name: float(np.mean(values)) for name, values in of.items()}
        for arm, of in lists.items()
    }


def fit_law(values: np.ndarray, gain: np.ndarray, seed: int = 0) -> Law:
    """Least squares on the means over subjects; subjects and residuals are resampled."""
    rng = np.random.default_rng(seed)
    x = np.log10(values / values[-1])

    def line(means):
        slope, level = np.polyfit(x, means, 1)
        return level, slope

    level, slope = line(gain.mean(1))
    # Two of the values are used up by the line.
    residual = (gain.mean(1) - level - slope * x) * np.sqrt(len(x) / max(len(x) - 2, 1))
    drawn = [
        line(
            gain[:, rng.integers(gain.shape[1], size=gain.shape[1])].mean(1)
            + rng.choice(residual, len(residual))
        )
        for _ in range(RESAMPLED)
    ]
    return Law(values, gain, level, slope, np.array(drawn))


def fit_series(scores: dict[str, dict[str, float]]) -> dict[str, Law]:
    """The law of every series that has three values or more; UserError if there is none."""
    laws = {}
    for series in LABELS:
        arms = {
            float(arm.removeprefix(f"{series}_")): of
            for arm, of in scores.items()
            if arm.startswith(f"{series}_")
        }
        if "middle" in scores and series in MIDDLE:
            arms[float(MIDDLE[series])] = scores["middle"]
        if len(arms) > 2:
            values = sorted(arms)
            gain = []
            for value in values:
                width = value if series == "width" else MIDDLE["width"]
                random = scores.get(f"random_{width:g}")
                if random is None:
                    raise UserError(f"the study has no arm random_{width:g}: run configs/growth.py")
                gain.append([arms[value][one] - random[one] for one in sorted(random)])
            laws[series] = fit_law(np.array(values), np.array(gain))
    if not laws:
        raise UserError("the study has no series of three arms: run configs/growth.py")
    return laws


def compare_pretexts(
    scores: dict[str, dict[str, float]], base: str
) -> dict[str, tuple[float, ...]]:
    """Of `middle` and of arms with another pretext the mean gain in r over the arm `base`, and its
    interval of 95 % by t over subjects alone: each is one pre-training."""
    gains = {}
    for arm, of in scores.items():
        if arm != base and base in scores and (arm == "middle" or arm.startswith("pretext_")):
            difference = np.array([of[one] - scores[base][one] for one in of])
            margin = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
            mean = difference.mean()
            gains[arm] = (mean, mean - margin, mean + margin)
    return gains


def furthest(series: str, law: Law) -> float:
    """The value to which a series is drawn, beyond its last one."""
    return 100.0 if series in ("people", "simulated") else float(law.values[-1]) * BEYOND


def draw(laws: dict[str, Law]) -> Figure:
    """A panel for each series; points, line, band, and dashes where it is an extrapolation."""
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(2.4 * len(laws) + 0.6, 2.7), layout="constrained")
        axes = figure.subplots(1, len(laws), sharey=True, squeeze=False)[0]
        for axis, (series, law) in zip(axes, laws.items(), strict=True):
            last, far = law.values[-1], furthest(series, law)
            for begin, end, style in ((law.values[0], last, "-"), (last, far, (0, (3, 2)))):
                x = np.geomspace(begin, end, 40)
                y, low, high = law.at(x)
                axis.fill_between(x, low, high, color=drawing.PALE, alpha=0.7, linewidth=0)
                axis.plot(x, y, color=drawing.INK, linestyle=style, linewidth=1)
            axis.plot(law.values, law.gain.mean(1), "o", color=drawing.INK, markersize=4)
            axis.axhline(0, color=drawing.GREY, linewidth=0.8, linestyle=":")
            axis.set_xscale("log")
            axis.set_xlabel(LABELS[series])
            low, high = law.interval
            axis.set_title(f"{law.slope:+.3f} ({low:+.3f} to {high:+.3f}) a tenfold", fontsize=8)
        axes[0].set_ylabel("gain in r over random weights")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("workdir", type=pathlib.Path, help="folder of the study")
    parser.add_argument("--task", default="peak_force", help="of it; peak_force")
    parser.add_argument("--stage", default="probe", choices=settings.STAGES, help="probe")
    parser.add_argument("--out", type=pathlib.Path, help="picture to write, FILE.png")
    args = parser.parse_args()
    try:
        (sweep,) = tables.load_sweeps(args.workdir / "tasks" / args.task)
        scores = mean_scores(sweep, args.stage)
        laws = fit_series(scores)
    except (UserError, ValueError) as error:
        parser.error(str(error))
    for series, law in laws.items():
        points = ", ".join(
            f"{value:g}: {gain:+.3f}"
            for value, gain in zip(law.values, law.gain.mean(1), strict=True)
        )
        low, high = law.interval
        print(f"{series:10s} {law.slope:+.4f} ({low:+.4f} to {high:+.4f}) a tenfold; {points}")
        far = furthest(series, law)
        (y,), (low,), (high,) = law.at(np.array([far]))
        print(f"{'':10s} extrapolated to {far:g}: {y:+.3f} ({low:+.3f} to {high:+.3f})")
    r = {arm: np.mean(list(of.values())) for arm, of in scores.items()}
    print("r          " + ", ".join(f"{arm}: {value:.3f}" for arm, value in r.items()))
    for base in ("middle", f"random_{MIDDLE['width']}"):
        for arm, (gain, low, high) in compare_pretexts(scores, base).items():
            print(f"{arm:20s} {gain:+.3f} ({low:+.3f} to {high:+.3f}) over {base}")
    if args.out:
        picture = drawing.png(draw(laws))
        files.write_whole(args.out, lambda part: part.write_bytes(picture))


if __name__ == "__main__":
    main()
