"""A picture of a simulated movement: the person, the forces of the ground, and traces below them.

In a PNG the persons stand over the instants of the time axis which they share with the traces; in a
GIF the camera goes along with the person.  What is drawn of them stands in scene.py.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import jax
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from imujax.errors import UserError
from imujax.runtime import drawing
from imujax.runtime.drawing import GREY, INK, PALE, STYLE
from imujax.runtime.files import write_whole
from imujax.simulate.body import Body
from imujax.simulate.dynamics import Loads
from imujax.simulate.scene import (
    ARROW,
    MARKS,
    SIDES,
    Stage,
    arrow_outline,
    ground_shapes,
    make_stage,
    person_shapes,
    polygons,
)
from imujax.simulate.skeleton import Kinematics

AXIS_COLOURS = ("#009E73", "#CC79A7", INK, "#E69F00")  # of traces that are not of right and left
DASHES = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (5, 1.5, 1, 1.5)))
WIDTH = 10.0  # inches, of the PNG
# Persons of the PNG: their number, how many a stride, their distance (stature).
PERSONS, PER_STRIDE, SPACING = 9, 6, 0.58
GIF_SIZE, DPI = (9.6, 5.6), 100  # inches and dots an inch, of the GIF
FPS, COLOURS = 25, 64
LEGEND = {"loc": "lower right", "bbox_to_anchor": (1, 0.99), "frameon": False, "fontsize": 7.5}
LEGEND |= {"handlelength": 2.2, "columnspacing": 1.2, "borderaxespad": 0, "borderpad": 0.1}


def show(
    path: Path | str,
    body: Body,
    t: np.ndarray,
    kin: Kinematics,
    loads: Loads | None,
    signals: Mapping[str, tuple],
    title: str,
) -> Path:
    """Draw a movement of one person into a PNG or, moving in real time, a GIF.

    The PNG shows one and a third strides from a strike of the right foot on, or everything where
    the feet do not strike; the GIF shows everything, at FPS frames a second and some .3 MB a
    second.

    Parameters
    ----------
    path : path
        Ends in .png or .gif.
    body : Body
        One person.
    t : np.ndarray, [T]
        Times, s.
    kin : Kinematics
        At these times.
    loads : Loads or None
        At these times; without them no arrows are drawn.
    signals : mapping
        title -> (t [N] s, values [N, C], C labels, unit): traces of up to four curves on the same
        clock, in the limbs' colours where the labels are "right" and "left".
    title : str
        Follows the word "Simulated".

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        If the path has another ending, or the file cannot be written.
    """
    path = Path(path)
    render = {".png": _render_png, ".gif": _render_gif}.get(path.suffix.lower())
    if render is None:
        raise UserError(f"{path} does not say which kind of picture; end it in .png or .gif")
    body, kin, loads = jax.tree.map(np.asarray, (body, kin, loads))
    t = np.asarray(t, float)
    signals = {
        name: (np.asarray(time, float), np.asarray(values, float), tuple(labels), unit)
        for name, (time, values, labels, unit) in signals.items()
    }
    subtitle = f"{body.height:.2f} m, {body.mass:.0f} kg"
    if loads is not None:
        subtitle += " \u00b7 arrows: force of the ground on the foot, at the centre of pressure"
    with matplotlib.rc_context(STYLE):
        stage = make_stage(body, t, kin, loads)
        data = render(stage, t, signals, (f"Simulated: {title}", subtitle))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_whole(path, lambda part: part.write_bytes(data))
    except OSError as error:
        raise UserError(f"the picture cannot be written to {path}: {error.strerror}") from error


def _render_png(stage: Stage, t: np.ndarray, signals: Mapping, text: tuple[str, str]) -> bytes:
    """The PNG: persons in a row over the instants at which they are seen, traces below."""
    samples = _instants(stage, t)
    times = t[samples]
    step = (times[-1] - times[0]) / (len(times) - 1)
    limits = times[0] - 0.85 * step, times[-1] + 0.75 * step
    space = SPACING * stage.stature
    scenes = [ground_shapes(stage, i, space / 2) + person_shapes(stage, i) for i in samples]
    upward = np.concatenate([outline[:, 1] for scene in scenes for outline, *_ in scene])
    low, high = upward.min(), upward.max()
    left, right, head, gap, trace_height = 0.62, 0.15, 0.6, 0.34, 0.62  # inches
    width = WIDTH - left - right
    scene_height = (high - low) * width * step / (limits[1] - limits[0]) / space
    height = head + scene_height + len(signals) * (gap + trace_height) + 0.45
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    _draw_title(figure, text)

    def panel(top, size):
        place = np.array((left, height - top - size, width, size))
        return figure.add_axes(place / (WIDTH, height, WIDTH, height), facecolor="none")

    ax = panel(head, scene_height)
    ax.axis("off")
    ax.set(xlim=[(limit - times[0]) / step * space for limit in limits], ylim=(low, high))
    for k, scene in enumerate(scenes):
        people = PolyCollection(**polygons(scene, k * space), linewidths=0.7)
        ax.add_collection(people, autolim=False)
    _draw_key(ax, stage)
    traces = [
        panel(head + scene_height + (k + 1) * gap + k * trace_height, trace_height)
        for k in range(len(signals))
    ]
    _draw_traces(traces, signals, limits)
    for time in times:
        x = (left + width * (time - limits[0]) / (limits[1] - limits[0])) / WIDTH
        ends = 0.45 / height, 1 - (head + scene_height) / height
        figure.add_artist(Line2D((x, x), ends, color=PALE, lw=0.6, zorder=-1))
    return drawing.png(figure, dpi=160)


def _instants(stage: Stage, t: np.ndarray) -> np.ndarray:
    """Samples at which the persons of the PNG are seen: PER_STRIDE a stride from a strike on.

    The strike is the first with room before and after; without two strikes of the right foot the
    persons are spread over everything.
    """
    first, last = t[0], t[-1]
    if len(stage.strikes) > 1:
        strikes = t[stage.strikes]
        step = np.diff(strikes).mean() / PER_STRIDE
        span = (PERSONS - 1) * step
        fits = (strikes - first >= step) & (strikes + span <= last)
        first = strikes[np.argmax(fits)]
        last = min(last, first + span)
    return np.searchsorted(t, np.linspace(first, last, PERSONS) - 1e-9).clip(0, len(t) - 1)


def _render_gif(stage: Stage, t: np.ndarray, signals: Mapping, text: tuple[str, str]) -> bytes:
    """The GIF: the person on the left, traces with a cursor on the right."""
    (width, height), head, person = GIF_SIZE, 0.6, 3.7  # inches
    figure = Figure(figsize=GIF_SIZE, facecolor="white", dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    _draw_title(figure, text)
    ax = figure.add_axes((0, 0, person / width, (height - head) / height))
    ax.axis("off")
    times = np.arange(t[0], t[-1], 1 / FPS)
    samples = np.searchsorted(t, times - 1e-9).clip(0, len(t) - 1)
    persons = [person_shapes(stage, i) for i in samples]
    across, up = np.concatenate([outline for shapes in persons for outline, *_ in shapes]).T
    low, high = up.min() - 0.1 * stage.stature, up.max() + 0.03 * stage.stature
    reach = max(np.abs(across).max(), (high - low) * person / (height - head) / 2)
    ax.set(xlim=(-reach, reach), ylim=(low, low + 2 * reach * (height - head) / person))
    _draw_key(ax, stage)
    people = ax.add_collection(PolyCollection([], linewidths=0.8, animated=True), autolim=False)
    trace_height = min((height - head - 0.4) / max(len(signals), 1), 1.4)
    traces = []
    for k in range(len(signals)):
        bottom = height - head - (k + 1) * trace_height
        place = np.array((person + 0.6, bottom, width - person - 0.75, trace_height - 0.3))
        traces.append(figure.add_axes(place / (width, height, width, height)))
    _draw_traces(traces, signals, (t[0], t[-1]))
    cursors = [trace.axvline(t[0], color=INK, lw=1.0, animated=True) for trace in traces]
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    frames = []
    for time, i, shapes in zip(times, samples, persons, strict=True):
        people.set(**polygons(ground_shapes(stage, i, 2 * reach, MARKS) + shapes))
        canvas.restore_region(background)
        ax.draw_artist(people)
        for cursor in cursors:
            cursor.set_xdata([time, time])
            cursor.axes.draw_artist(cursor)
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    return _encode_gif(frames)


def _encode_gif(frames: list[Image.Image]) -> bytes:
    """The frames with one palette, the commonest colours of the first: so it stays small."""
    common: dict[tuple, tuple] = {}
    for _, colour in sorted(frames[0].getcolors(1 << 24), reverse=True):
        # Pillow matches coarsely: of near colours only the commonest, so that white stays white.
        common.setdefault(tuple((level + 8) >> 4 for level in colour), colour)
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for colour in [*common.values()][:COLOURS] for level in colour])
    first, *others = (f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames)
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=1000 // FPS, loop=0)
    return buffer.getvalue()


def _draw_title(figure: Figure, text: tuple[str, str]) -> None:
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.12 / height, text[0], fontsize=11.5, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.36 / height, text[1], color=GREY, va="top")


def _draw_key(ax: Axes, stage: Stage) -> None:
    """On the left: the names of the sides, and the arrow of one body weight."""
    for k, (name, colour) in enumerate(SIDES.items()):
        place = (0, 1), (9, -10 - 12 * k), "axes fraction", "offset points"
        ax.annotate(name, *place, color=colour, fontweight="bold", va="top")
    if np.any(stage.tip != stage.tail):
        tail = np.array((ax.get_xlim()[0] + 0.06 * stage.stature, 0))
        tip = tail + np.array((0, ARROW * stage.stature))
        outline = arrow_outline(tail, tip, 0.012 * stage.stature)
        looks = {"facecolors": INK, "edgecolors": "white", "linewidths": 0.7, "zorder": 3}
        ax.add_collection(PolyCollection([outline], **looks), autolim=False)
        ax.annotate("1 BW", outline[3], (0, 3), textcoords="offset points", ha="center")


def _draw_traces(axes: list[Axes], signals: Mapping, limits: tuple[float, float]) -> None:
    """A panel each: the curves between `limits` [s]; labels where they are not those above."""
    previous_labels = None
    for ax, (name, (time, values, labels, unit)) in zip(axes, signals.items(), strict=True):
        colours = dict(zip(labels, AXIS_COLOURS, strict=False))
        colours = SIDES if set(labels) <= set(SIDES) else colours
        for label, dashes, curve in zip(labels, DASHES, values.T, strict=False):
            ax.plot(time, curve, color=colours[label], ls=dashes, lw=1.3, label=label)
        visible = values[(time >= limits[0]) & (time <= limits[1])]
        low, high = np.nanmin(visible), np.nanmax(visible)
        margin = 0.06 * (high - low) or 1.0
        ax.set(xlim=limits, ylim=(low - margin, high + margin))
        ax.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
        ax.tick_params(labelsize=7.5, length=2.5, labelbottom=ax is axes[-1])
        ax.axhline(0, color=GREY, lw=0.5, zorder=1)
        unit = unit.replace("^2", "\u00b2")
        ax.set_title(f"{name} [{unit}]", loc="left", fontsize=8.5, pad=3)
        if labels != previous_labels:
            ax.legend(ncols=len(labels), **LEGEND)
        previous_labels = labels
    if axes:
        axes[-1].set_xlabel("time [s]")
