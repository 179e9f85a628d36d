"""A picture of a simulated movement: the person, the forces of the ground, and traces below them.

The person is seen from the right, a little from the front and from above, in an oblique projection:
the sagittal plane keeps its true shape, so that angles and arrows can be read in it.  Every part of
the body is the hull of a few balls, so that its outline is the hull of a few circles; parts are
painted from the far to the near ones.  In a PNG the persons stand over the instants of the time
axis which they share with the traces; in a GIF the camera goes along with the person.
"""

import io
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image
from scipy.spatial import ConvexHull

from imujax import figures
from imujax.errors import UserError
from imujax.figures import GREY, INK, PALE, STYLE
from imujax.recordings import G
from imujax.simulate.body import DE_LEVA, INDEX, Body
from imujax.simulate.dynamics import Loads
from imujax.simulate.skeleton import Kinematics
from imujax.tables import whole

SIDES = {"right": "#D55E00", "left": "#0072B2"}
AXES = ("#009E73", "#CC79A7", INK, "#E69F00")  # of traces that are not of right and left
DASHES = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (5, 1.5, 1, 1.5)))
FLESH, TOP, FRONT = "#bdb7ae", "#efece6", "#d3cec5"  # trunk and head; the ground's two faces
OBLIQUE = (0.36, 0.18)  # how far to the right and up a metre to the left is drawn
ARROW = 0.36  # of the stature: length of the arrow of one body weight
CONTACT = 0.05  # of body weight: above this a foot is on the ground
RISER, SLIVER = 0.03, 0.12  # m: lower steps are drawn as a bend, shorter ends of treads not at all
PATH, SLAB, MARKS = 0.33, 0.05, 0.5  # m: half the ground's width, its thickness, marks in the GIF
CIRCLE = np.exp(2j * np.pi * np.arange(24) / 24)

WIDTH = 10.0  # inches, of the PNG
PERSONS, PER_STRIDE, SPACE = 9, 6, 0.58  # their number, how many a stride, their distance (stature)
MOVING, DPI = (9.6, 5.6), 100  # inches and dots an inch, of the GIF
FPS, COLOURS = 25, 64


class Stage(NamedTuple):
    """What is drawn at T times.

    parts: (colour, balls: list of (centre [3, T] m, radius m)); tail, tip [2, 3, T] m: the arrows;
    way [3, T] m: below the pelvis, on the ground; ground [2, K] m: x and height of its corners;
    strikes: samples at which the right foot lands; stature m.
    """

    parts: list
    tail: np.ndarray
    tip: np.ndarray
    way: np.ndarray
    ground: np.ndarray
    strikes: np.ndarray
    stature: float


def show(
    path: Path,
    body: Body,
    t: np.ndarray,
    kin: Kinematics,
    loads: Loads | None,
    signals: Mapping[str, tuple],
    title: str,
) -> Path:
    """Draws a movement of one person into a PNG or, moving in real time, a GIF; returns the path.

    t [T] s, kin and loads at these times; signals: title -> (t [N] s, values [N, C], C labels,
    unit), traces of up to four curves on the same clock, in the limbs' colours where the labels are
    "right" and "left".  The PNG shows one and a third strides from a strike of the right foot on,
    or everything where the feet do not strike; the GIF shows everything, at FPS frames a second and
    some .3 MB a second.  UserError: another ending, or a file that cannot be written.
    """
    path = Path(path)
    draw = {".png": _still, ".gif": _moving}.get(path.suffix.lower())
    if draw is None:
        raise UserError(f"{path} does not say which kind of picture; end it in .png or .gif")
    body, kin = Body(*map(np.asarray, body)), Kinematics(*map(np.asarray, kin))
    loads = Loads(*map(np.asarray, loads)) if loads is not None else None
    t = np.asarray(t, float)
    signals = {
        name: (np.asarray(when, float), np.asarray(values, float), tuple(labels), unit)
        for name, (when, values, labels, unit) in signals.items()
    }
    about = f"{body.height:.2f} m, {body.mass:.0f} kg"
    if loads is not None:
        about += " \u00b7 arrows: force of the ground on the foot, at the centre of pressure"
    with matplotlib.rc_context(STYLE):
        data = draw(_stage(body, t, kin, loads), t, signals, (f"Simulated: {title}", about))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return whole(path, lambda part: part.write_bytes(data))
    except OSError as error:
        raise UserError(f"the picture cannot be written to {path}: {error.strerror}") from error


def joints(body: Body, kin: Kinematics) -> dict[str, np.ndarray]:
    """The points between which a person is drawn, in the world [m].

    pelvis, waist, neck, head_top [3, T]; hip, knee, ankle, heel, ball, toe, shoulder, elbow, wrist,
    finger_tip [2, 3, T] (right, left).  The finger tip is where the table's share of the hand's
    centre of mass puts it.
    """
    middle = {"pelvis": "pelvis", "waist": "trunk", "neck": "head"}
    pairs = {"hip": "thigh", "knee": "shank", "ankle": "foot"}
    pairs |= {"shoulder": "upper_arm", "elbow": "forearm", "wrist": "hand"}
    points = {name: kin.position[INDEX[segment]] for name, segment in middle.items()}
    for name, segment in pairs.items():
        points[name] = kin.position[INDEX[f"{segment}_r"] :][:2]
    for name in ("heel", "ball", "toe"):
        points[name] = _pair(kin, "foot", getattr(body, name))
    hand = INDEX["hand_r"]
    (_, _, women, *_), (_, _, men, *_) = DE_LEVA["hand"]
    share = (women + body.male * (men - women)) / 100
    points["finger_tip"] = _pair(kin, "hand", body.com[hand : hand + 2] / share)
    points["head_top"] = _fixed(kin, "head", (0, 0, _head(body)))
    return points


def arrows(body: Body, loads: Loads) -> tuple[np.ndarray, np.ndarray]:
    """Tail and tip [2, 3, T] m of the arrows of the ground's forces, ARROW statures a body weight.

    They begin at the centre of pressure; below CONTACT they have no length.
    """
    weight = body.mass * G
    held = loads.force[:, 2:] > CONTACT * weight
    length = np.where(held, loads.force * (ARROW * body.height / weight), 0)
    return loads.cop, loads.cop + length


def footholds(body: Body, loads: Loads) -> list[tuple[float, float, float]]:
    """x [m], height [m] and slope of the ground below each contact, along x.

    The path of the centre of pressure lies in the ground: a straight line is put through it,
    weighted with the force.  Paths shorter than 8 cm are given the middle slope of the others.
    """
    found, slopes = [], []
    for force, cop in zip(loads.force, loads.cop, strict=True):
        for first, last in _contacts(body, force):
            x, z, weight = cop[0, first:last], cop[2, first:last], force[2, first:last]
            centre, height = np.average(x, weights=weight), np.average(z, weights=weight)
            long = np.ptp(x) > 0.08
            slope = np.polyfit(x, z, 1, w=np.sqrt(weight))[0] if long else np.nan
            slopes += [slope] if long else []
            found.append((centre, height, slope))
    usual = np.median(slopes) if slopes else 0.0
    return sorted((x, z, usual if np.isnan(slope) else slope) for x, z, slope in found)


def _contacts(body: Body, force: np.ndarray) -> np.ndarray:
    """First and one past the last sample [n, 2] of the contacts of one foot's force [3, T]."""
    held = np.concatenate([[False], force[2] > CONTACT * body.mass * G, [False]])
    return np.flatnonzero(held[1:] != held[:-1]).reshape(-1, 2)


def _surface(holds: list[tuple[float, float, float]]) -> np.ndarray:
    """Corners [2, K] of the ground: each foothold's line up to half way to the next one.

    There the ground has a riser, or a bend if the lines meet but for RISER.
    """
    x, z = [holds[0][0] - 100], [holds[0][1] - 100 * holds[0][2]]
    for (x0, z0, s0), (x1, z1, s1) in pairwise(holds):
        middle = (x0 + x1) / 2
        before, after = z0 + s0 * (middle - x0), z1 + s1 * (middle - x1)
        flat = abs(after - before) < RISER
        x += [middle] if flat else [middle, middle]
        z += [(before + after) / 2] if flat else [before, after]
    x.append(holds[-1][0] + 100)
    z.append(holds[-1][1] + 100 * holds[-1][2])
    return np.array([x, z])


def _stage(body: Body, t: np.ndarray, kin: Kinematics, loads: Loads | None) -> Stage:
    points = joints(body, kin)
    pelvis, nowhere = points["pelvis"], np.zeros((2, 3, len(t)))
    holds, strikes, tail, tip = [], np.zeros(0, int), nowhere, nowhere
    if loads is not None:
        tail, tip = arrows(body, loads)
        holds = footholds(body, loads)
        strikes = np.array([first for first, _ in _contacts(body, loads.force[0]) if first > 0])
    if not holds:
        lowest = min(points[name][:, 2].min() for name in ("heel", "ball", "toe"))
        holds = [(float(pelvis[0].mean()), float(lowest), 0.0)]
    # Below the pelvis, without its sway and, uphill, along a straight line through the footholds.
    x, z, _ = np.array(holds).T
    rise = np.polyfit(x, z, 1) if np.ptp(x) > 0.3 else [z.mean()]
    middle = np.polyval(np.polyfit(t, pelvis[1], 1), t)
    way = np.stack([pelvis[0], middle, np.polyval(rise, pelvis[0])])
    parts = _parts(body, kin, points)
    return Stage(parts, tail, tip, way, _surface(holds), strikes, float(body.height))


def _parts(body: Body, kin: Kinematics, points: Mapping[str, np.ndarray]) -> list:
    """The body's parts as Stage has them; radii are our choice, shares of the stature."""
    head, waist, neck = _head(body), points["waist"], points["neck"]
    chest = waist + 0.66 * (neck - waist)
    skull, chin = (
        _fixed(kin, "head", np.array(at) * head) for at in ((0.04, 0, 0.6), (0.2, 0, 0.36))
    )
    parts = [
        (FLESH, [(neck, 0.031), (skull, 0.032)]),
        (FLESH, [(skull, 0.055), (chin, 0.027)]),
        (FLESH, [(waist, 0.058), (chest, 0.066), *((p, 0.033) for p in points["shoulder"])]),
        (FLESH, [(waist, 0.058), *((p, 0.050) for p in points["hip"])]),
    ]
    sole = {"heel": (0.016, 1), "ball": (0.012, 0), "toe": (0.009, -1)}  # radius, and where inwards
    for side, colour in enumerate(SIDES.values()):
        at = {name: pair[side] for name, pair in points.items()}
        calf = 0.72 * at["knee"] + 0.28 * at["ankle"]
        foot = [(at["ankle"], 0.021)]
        for name, (radius, inwards) in sole.items():
            inside = getattr(body, name) + radius * body.height * np.array((inwards, 0, 1))
            foot.append((_pair(kin, "foot", inside)[side], radius))
        parts += [
            (colour, [(at["hip"], 0.046), (at["knee"], 0.030)]),
            (colour, [(at["knee"], 0.029), (calf, 0.031), (at["ankle"], 0.019)]),
            (colour, foot),
            (colour, [(at["shoulder"], 0.029), (at["elbow"], 0.021)]),
            (colour, [(at["elbow"], 0.022), (at["wrist"], 0.014)]),
            (colour, [(at["wrist"], 0.014), (at["finger_tip"], 0.008)]),
        ]
    return [(colour, [(p, r * float(body.height)) for p, r in balls]) for colour, balls in parts]


def _head(body: Body) -> float:
    """From the base of the neck to the top of the head [m], as the joints leave it."""
    column = [INDEX[name] for name in ("foot_r", "shank_r")]
    legs = -body.joint[column, 2].sum() - body.heel[0, 2]
    return float(body.height - legs - body.joint[[INDEX["trunk"], INDEX["head"]], 2].sum())


def _fixed(kin: Kinematics, segment: str, place) -> np.ndarray:
    """The point `place` [3] of a segment in the world [3, T]."""
    i = INDEX[segment]
    return kin.position[i] + np.einsum("ijt,j->it", kin.rotation[i], place)


def _pair(kin: Kinematics, name: str, places: np.ndarray) -> np.ndarray:
    """The points `places` [2, 3] of a pair of segments in the world [2, 3, T]."""
    return np.stack(
        [_fixed(kin, f"{name}_{side}", p) for side, p in zip("rl", places, strict=True)]
    )


def _project(point) -> np.ndarray:
    """World [3, ...] -> right, up and towards the viewer [3, ...]."""
    x, y, z = np.asarray(point, float)
    right, up = OBLIQUE
    return np.stack([x + right * y, z + up * y, right * x - y + up * z])


def _person(stage: Stage, i: int) -> list:
    """The person and the arrows at sample i: (outline [n, 2], colour, edge) from far to near."""
    origin, solid = stage.way[:, i], []
    for colour, balls in stage.parts:
        across, up, near = _project(np.stack([p[:, i] - origin for p, _ in balls], 1))
        radius = np.array([r for _, r in balls])[:, None]
        rim = ((across + 1j * up)[:, None] + radius * CIRCLE).ravel()
        rim = np.stack([rim.real, rim.imag], 1)
        solid.append((near.mean(), rim[ConvexHull(rim).vertices], colour, "white"))
    shapes = [shape for _, *shape in sorted(solid, key=lambda shape: shape[0])]
    for tail, tip in zip(stage.tail[:, :, i], stage.tip[:, :, i], strict=True):
        ends = _project(np.stack([tail, tip], 1) - origin[:, None])[:2].T
        if np.ptp(ends, 0).any():
            shapes.append((_arrow(*ends, 0.012 * stage.stature), INK, "white"))
    return shapes


def _ground(stage: Stage, i: int, reach: float, stripes: float | None = None) -> list:
    """The ground `reach` [m] back and ahead of the person at sample i, with marks every `stripes`.

    Shapes like those of `_person`: the upper faces, marks, then the front.
    """
    (x, z), origin = stage.ground, stage.way[:, i]
    back, ahead = origin[0] - reach, origin[0] + reach
    risers = x[1:][np.diff(x) == 0]
    back = max(risers[(risers > back) & (risers < back + SLIVER)], default=back) + 1e-6
    ahead = min(risers[(risers < ahead) & (risers > ahead - SLIVER)], default=ahead) - 1e-6
    inner = (x > back) & (x < ahead)
    ends = np.interp((back, ahead), x, z)
    x = np.r_[back, x[inner], ahead] - origin[0]
    z = np.r_[ends[0], z[inner], ends[1]] - origin[2]

    def line(x, z, y):
        return _project(np.stack([x, np.full_like(x, y), z]))[:2].T

    near, far = line(x, z, -PATH), line(x, z, PATH)
    below = line(x, np.full_like(z, z.min() - SLAB), -PATH)
    shapes = [
        (np.array([near[k], near[k + 1], far[k + 1], far[k]]), TOP, TOP) for k in range(len(x) - 1)
    ]
    if stripes:
        marks = np.arange(np.ceil(back / stripes), np.floor(ahead / stripes) + 1) * stripes
        marks -= origin[0]
        height = np.interp(marks, x, z)
        ends = np.stack([line(marks, height, -PATH), line(marks, height, PATH)], 1)
        shapes += [(pair, FRONT, FRONT) for pair in ends]
    shapes.append((np.concatenate([near, below[::-1]]), FRONT, FRONT))
    return shapes


def _polygons(shapes: list, shift: float = 0.0) -> dict:
    """Shapes as the properties of a PolyCollection, `shift` to the right."""
    outlines, faces, edges = zip(*shapes, strict=True)
    verts = [outline + np.array((shift, 0)) for outline in outlines]
    return {"verts": verts, "facecolors": faces, "edgecolors": edges}


def _arrow(tail: np.ndarray, tip: np.ndarray, width: float) -> np.ndarray:
    """Outline [7, 2] of an arrow whose head is 5 widths long, or all of it if it is shorter."""
    along = tip - tail
    length = np.hypot(*along)
    along = along / length
    across = np.array([-along[1], along[0]]) * width
    neck = tip - along * min(5 * width, length)
    half, wing = across / 2, across * 1.7
    return np.array(
        [tail + half, neck + half, neck + wing, tip, neck - wing, neck - half, tail - half]
    )


def _still(stage: Stage, t: np.ndarray, signals: Mapping, text: tuple[str, str]) -> bytes:
    """The PNG: persons in a row over the instants at which they are seen, traces below."""
    samples = _instants(stage, t)
    times = t[samples]
    step = (times[-1] - times[0]) / (len(times) - 1)
    limits = times[0] - 0.85 * step, times[-1] + 0.75 * step
    space = SPACE * stage.stature
    scenes = [_ground(stage, i, space / 2) + _person(stage, i) for i in samples]
    upward = np.concatenate([outline[:, 1] for scene in scenes for outline, *_ in scene])
    low, high = upward.min(), upward.max()
    left, right, head, gap, tall = 0.62, 0.15, 0.6, 0.34, 0.62  # inches
    wide = WIDTH - left - right
    row = (high - low) * wide * step / (limits[1] - limits[0]) / space
    height = head + row + len(signals) * (gap + tall) + 0.45
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    _title(figure, text)

    def panel(top, size):
        place = np.array((left, height - top - size, wide, size))
        return figure.add_axes(place / (WIDTH, height, WIDTH, height), facecolor="none")

    ax = panel(head, row)
    ax.axis("off")
    ax.set(xlim=[(limit - times[0]) / step * space for limit in limits], ylim=(low, high))
    for k, scene in enumerate(scenes):
        people = PolyCollection(**_polygons(scene, k * space), linewidths=0.7)
        ax.add_collection(people, autolim=False)
    _key(ax, stage)
    traces = [panel(head + row + (k + 1) * gap + k * tall, tall) for k in range(len(signals))]
    _traces(traces, signals, limits)
    for time in times:
        x = (left + wide * (time - limits[0]) / (limits[1] - limits[0])) / WIDTH
        ends = 0.45 / height, 1 - (head + row) / height
        figure.add_artist(Line2D((x, x), ends, color=PALE, lw=0.6, zorder=-1))
    return figures.png(figure, dpi=160)


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
        whole = (strikes - first >= step) & (strikes + span <= last)
        first = strikes[np.argmax(whole)]
        last = min(last, first + span)
    return np.searchsorted(t, np.linspace(first, last, PERSONS) - 1e-9).clip(0, len(t) - 1)


def _moving(stage: Stage, t: np.ndarray, signals: Mapping, text: tuple[str, str]) -> bytes:
    """The GIF: the person on the left, traces with a cursor on the right."""
    (width, height), head, person = MOVING, 0.6, 3.7  # inches
    figure = Figure(figsize=MOVING, facecolor="white", dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    _title(figure, text)
    ax = figure.add_axes((0, 0, person / width, (height - head) / height))
    ax.axis("off")
    times = np.arange(t[0], t[-1], 1 / FPS)
    samples = np.searchsorted(t, times - 1e-9).clip(0, len(t) - 1)
    persons = [_person(stage, i) for i in samples]
    across, up = np.concatenate([outline for shapes in persons for outline, *_ in shapes]).T
    low, high = up.min() - 0.1 * stage.stature, up.max() + 0.03 * stage.stature
    reach = max(np.abs(across).max(), (high - low) * person / (height - head) / 2)
    ax.set(xlim=(-reach, reach), ylim=(low, low + 2 * reach * (height - head) / person))
    _key(ax, stage)
    people = ax.add_collection(PolyCollection([], linewidths=0.8, animated=True), autolim=False)
    tall = min((height - head - 0.4) / max(len(signals), 1), 1.4)
    traces = []
    for k in range(len(signals)):
        place = np.array((person + 0.6, height - head - (k + 1) * tall, width - person - 0.75, 0))
        place[3] = tall - 0.3
        traces.append(figure.add_axes(place / (width, height, width, height)))
    _traces(traces, signals, (t[0], t[-1]))
    cursors = [trace.axvline(t[0], color=INK, lw=1.0, animated=True) for trace in traces]
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    frames = []
    for time, i, shapes in zip(times, samples, persons, strict=True):
        people.set(**_polygons(_ground(stage, i, 2 * reach, MARKS) + shapes))
        canvas.restore_region(still)
        ax.draw_artist(people)
        for cursor in cursors:
            cursor.set_xdata([time, time])
            cursor.axes.draw_artist(cursor)
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    return _gif(frames)


def _gif(frames: list[Image.Image]) -> bytes:
    """The frames with one palette, the commonest colours of the first: so it stays small."""
    common: dict[tuple, tuple] = {}
    for _, colour in sorted(frames[0].getcolors(1 << 24), reverse=True):
        # Pillow matches coarsely: of near colours only the commonest, so that white stays white.
        common.setdefault(tuple((level + 8) >> 4 for level in colour), colour)
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for colour in [*common.values()][:COLOURS] for level in colour])
    first, *rest = (f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames)
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    return buffer.getvalue()


def _title(figure: Figure, text: tuple[str, str]) -> None:
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.12 / height, text[0], fontsize=11.5, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.36 / height, text[1], color=GREY, va="top")


def _key(ax: Axes, stage: Stage) -> None:
    """On the left: the names of the sides, and the arrow of one body weight."""
    for k, (name, colour) in enumerate(SIDES.items()):
        ax.annotate(
            name,
            (0, 1),
            (9, -10 - 12 * k),
            "axes fraction",
            "offset points",
            color=colour,
            fontweight="bold",
            va="top",
        )
    if np.any(stage.tip != stage.tail):
        tail = np.array((ax.get_xlim()[0] + 0.06 * stage.stature, 0))
        outline = _arrow(tail, tail + np.array((0, ARROW * stage.stature)), 0.012 * stage.stature)
        key = PolyCollection(
            [outline], facecolors=INK, edgecolors="white", linewidths=0.7, zorder=3
        )
        ax.add_collection(key, autolim=False)
        ax.annotate("1 BW", outline[3], (0, 3), textcoords="offset points", ha="center")


def _traces(axes: list[Axes], signals: Mapping, limits: tuple[float, float]) -> None:
    """A panel each: the curves between `limits` [s]; labels where they are not those above."""
    before = None
    for ax, (name, (when, values, labels, unit)) in zip(axes, signals.items(), strict=True):
        colours = SIDES if set(labels) <= set(SIDES) else dict(zip(labels, AXES, strict=False))
        for label, dashes, curve in zip(labels, DASHES, values.T, strict=False):
            ax.plot(when, curve, color=colours[label], ls=dashes, lw=1.3, label=label)
        seen = values[(when >= limits[0]) & (when <= limits[1])]
        low, high = np.nanmin(seen), np.nanmax(seen)
        margin = 0.06 * (high - low) or 1.0
        ax.set(xlim=limits, ylim=(low - margin, high + margin))
        ax.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
        ax.tick_params(labelsize=7.5, length=2.5, labelbottom=ax is axes[-1])
        ax.axhline(0, color=GREY, lw=0.5, zorder=1)
        unit = unit.replace("^2", "\u00b2")
        ax.set_title(f"{name} [{unit}]", loc="left", fontsize=8.5, pad=3)
        if labels != before:
            ax.legend(
                loc="lower right",
                bbox_to_anchor=(1, 0.99),
                ncols=len(labels),
                frameon=False,
                fontsize=7.5,
                handlelength=2.2,
                columnspacing=1.2,
                borderaxespad=0,
                borderpad=0.1,
            )
        before = labels
    if axes:
        axes[-1].set_xlabel("time [s]")
