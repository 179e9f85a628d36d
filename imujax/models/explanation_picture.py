"""The picture of an explanation: the signals of a window, on the colour of what they do."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imujax.errors import UserError
from imujax.runtime import drawing, files

if TYPE_CHECKING:
    from imujax.models.explanation import Explanation

MOST_SENSORS = 4  # that are drawn
BINS = 40  # of a window at most, in each of which the samples of an axis are added
LOWERS, RAISES = "#0072B2", "#D55E00"  # the blue and the orange of Okabe & Ito that are as dark
COLOURS = LinearSegmentedColormap.from_list("moved", [LOWERS, "white", RAISES])
STYLE = drawing.STYLE | {"text.parse_math": False}  # names may hold any letter
MODALITIES = ("acceleration [m/s²]", "angular rate [rad/s]")
# Inches: a panel, one of its axes, what stands above it and beside it, and the bars.
PANEL, STRIP, HEAD, GAP, BARS = 3.2, 0.5, 0.3, 0.6, 1.35


def save(explanation: "Explanation", path: pathlib.Path, number: int) -> pathlib.Path:
    """Write the picture of a window; see Explanation.save."""
    if path.suffix != ".png":
        raise UserError(f"{path}: the picture of a window is written as .png")
    data = drawing.png(draw(explanation, number), dpi=150)
    path.parent.mkdir(parents=True, exist_ok=True)
    return files.write_bytes(path, data)


def draw(explanation: "Explanation", number: int) -> Figure:
    """Draw a window; see Explanation.picture."""
    count = len(explanation.estimate)
    if not 0 <= number < count:
        raise UserError(f"there is no window {number}: they are counted from 0 to {count - 1}")
    edges, moved = _bin(explanation, number)
    sizes = np.abs(moved).sum(axis=(0, 1, 3))
    shown = np.sort(np.argsort(-sizes, kind="stable")[:MOST_SENSORS])
    most = float(np.abs(moved[:, :, shown]).max()) or 1.0
    norm = Normalize(-most, most)
    names = [f"{name}, {kind}" for name in explanation.sensors for kind in ("acc", "gyr")]
    notes = _notes(explanation, number, len(shown))
    side = 2 * (PANEL + GAP) + 0.3 + 0.075 * max(map(len, names))
    top = 0.55 if notes else 0.35
    bottom = top + len(shown) * (HEAD + 3 * STRIP)
    width, height = side + BARS + 0.25, bottom + 1.25
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)

        def place(left: float, down: float, wide: float, high: float) -> Axes:
            box = (left / width, 1 - (down + high) / height, wide / width, high / height)
            return figure.add_axes(box)

        for row, sensor in enumerate(shown):
            down = top + row * (HEAD + 3 * STRIP) + HEAD
            for column, modality in enumerate(MODALITIES):
                left = GAP + column * (PANEL + GAP)
                axes = [place(left, down + k * STRIP, PANEL, STRIP - 0.05) for k in range(3)]
                signal = explanation.signals[column][number, :, sensor]
                _draw_axes(axes, edges, signal, moved[column, :, sensor], norm, explanation)
                label = f"{explanation.sensors[sensor]}, {modality}"
                axes[0].set_title(label, loc="left", fontsize=8.5, pad=4)
                if sensor == shown[-1]:
                    event = " from the event" if explanation.before else ""
                    axes[2].set_xlabel(f"time{event} [s]")
                    axes[2].tick_params(labelbottom=True)
        bars = place(side, top + HEAD, BARS, bottom - top - HEAD - 0.05)
        _draw_bars(bars, names, explanation, number)
        scale = place(GAP + PANEL / 2, bottom + 0.62, PANEL + GAP, 0.1)
        figure.colorbar(ScalarMappable(norm, COLOURS), cax=scale, orientation="horizontal")
        scale.set_xlabel(
            f"what {1000 * (edges[-1] - edges[0]) / moved.shape[1]:.0f} ms of an axis do to the "
            f"estimate{_unit(explanation)}: blue lowers it, orange raises it"
        )
        title: dict[str, Any] = {"x": 0.12 / width, "va": "top", "fontsize": 9.5}
        figure.text(y=1 - 0.1 / height, s=_title(explanation, number), fontweight="bold", **title)
        figure.text(y=1 - 0.31 / height, s=notes, color=drawing.GREY, **title)
    return figure


def _bin(explanation: "Explanation", number: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges [bins + 1] in s, and what acc and gyr do in each bin, [2, bins, S, 3].

    Bins differ by a sample where the length asks for it, and are told as if they did not. Pieces of
    Shapley values begin where one of them does.
    """
    length = int(explanation.length[number])
    bins = min(BINS, length)
    starts = -(-np.arange(bins + 1) * length // bins)
    each = length / bins / np.diff(starts)
    both = np.stack([explanation.acc[number, :length], explanation.gyr[number, :length]])
    moved = np.add.reduceat(both, starts[:-1], axis=1) * each[:, None, None]
    return (starts - 0.5 - explanation.before) / explanation.rate, moved


def _draw_axes(
    axes: Sequence[Axes],
    edges: np.ndarray,
    signal: np.ndarray,
    moved: np.ndarray,
    norm: Normalize,
    explanation: "Explanation",
) -> None:
    """x, y and z below each other, to one scale.

    edges [bins + 1] in s, signal [L, 3] in its unit, moved [bins, 3] in the target's.
    """
    time = (np.arange(len(signal)) - explanation.before) / explanation.rate
    signal, time = signal[time < edges[-1]], time[time < edges[-1]]
    half = 0.6 * float(np.ptp(signal, axis=0).max()) or 1.0
    for k, ax in enumerate(axes):
        middle = float(signal[:, k].max() + signal[:, k].min()) / 2
        limits = (middle - half, middle + half)
        ax.pcolormesh(edges, limits, moved[None, :, k], cmap=COLOURS, norm=norm)
        ax.plot(time, signal[:, k], color=drawing.INK, lw=0.9)
        if explanation.before:
            ax.axvline(0, color=drawing.GREY, lw=0.7, ls=(0, (3, 2)))
        ax.set(xlim=(edges[0], edges[-1]), ylim=limits)
        ax.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
        ax.text(1.012, 0.5, "xyz"[k], transform=ax.transAxes, va="center")
        ax.spines["bottom"].set_visible(k == 2)
        ax.tick_params(bottom=k == 2, labelbottom=False)


def _draw_bars(ax: Axes, names: list[str], explanation: "Explanation", number: int) -> None:
    """By how much acc and gyr of each sensor move the estimate, all samples and axes together."""
    sums = explanation.sums()[number].ravel()
    ax.barh(names, sums, color=np.where(sums > 0, RAISES, LOWERS).tolist(), height=0.6)
    ax.axvline(0, color=drawing.GREY, lw=0.7)
    ax.set_ylim(max(len(names), 6) - 0.5, -0.5)
    ax.spines["left"].set_visible(False)
    ax.tick_params(left=False)
    ax.xaxis.set_major_locator(MaxNLocator(2))
    ax.set_xlabel(f"in all{_unit(explanation)}")


def _unit(explanation: "Explanation") -> str:
    """For an axis; a probability has none."""
    return f" [{explanation.unit}]" if explanation.unit else ""


def _title(explanation: "Explanation", number: int) -> str:
    estimate, baseline = (
        f"{values[number]:.3g} {explanation.unit}".strip()
        for values in (explanation.estimate, explanation.baseline)
    )
    return f"{explanation.name}: {estimate}; the same window held still: {baseline}"


def _notes(explanation: "Explanation", number: int, shown: int) -> str:
    """What a reader must know beside the picture."""
    notes, unit = [], f" {explanation.unit}".rstrip()
    rest, error = explanation.rest[number], explanation.error[number]
    if shown < len(explanation.sensors):
        notes.append(f"the {shown} of {len(explanation.sensors)} sensors that move it most")
    if error > 0:
        notes.append(f"standard error of what a piece does: at most {error:.2g}{unit}")
    if abs(rest) > 0.01 * abs(explanation.estimate[number] - explanation.baseline[number]):
        notes.append(f"{rest:.2g}{unit} of the difference are not told")
    return "; ".join(notes)
