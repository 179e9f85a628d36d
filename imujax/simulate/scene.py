"""What a picture of a movement shows: the person's body, the ground, the forces, as outlines.

The person is seen from the right, a little from the front and from above, in an oblique projection:
the sagittal plane keeps its true shape, so that angles and arrows can be read in it.
Every part of the body is the hull of a few balls, so that its outline is the hull of a few circles;
parts are painted from the far to the near ones.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.spatial import ConvexHull

from imujax.data.recordings import G
from imujax.runtime.drawing import INK
from imujax.simulate.body import DE_LEVA, INDEX, Body
from imujax.simulate.dynamics import Loads
from imujax.simulate.skeleton import Kinematics, toe_points

SIDES = {"right": "#D55E00", "left": "#0072B2"}
FLESH, TOP, FRONT = "#bdb7ae", "#efece6", "#d3cec5"  # trunk and head; the ground's two faces
OBLIQUE = (0.36, 0.18)  # how far to the right and up a metre to the left is drawn
ARROW = 0.36  # of the stature: length of the arrow of one body weight
CONTACT_LOAD = 0.05  # of body weight: above this a foot is on the ground
RISER, SLIVER = 0.03, 0.12  # m: lower steps are drawn as a bend, shorter ends of treads not at all
# m: half the ground's width, its thickness, the distance of its marks in the GIF.
HALF_WIDTH, SLAB, MARKS = 0.33, 0.05, 0.5
CIRCLE = np.exp(2j * np.pi * np.arange(24) / 24)


class Stage(NamedTuple):
    """What is drawn at T times.

    parts: (colour, balls: list of (centre [3, T] m, radius m)); tail, tip [2, 3, T] m: the arrows;
    origin [3, T] m: below the pelvis, on the ground; ground [2, K] m: x and height of its corners;
    strikes: samples at which the right foot lands; stature m.
    """

    parts: list
    tail: np.ndarray
    tip: np.ndarray
    origin: np.ndarray
    ground: np.ndarray
    strikes: np.ndarray
    stature: float


def body_points(body: Body, kin: Kinematics, holds=((0.0, 0.0, 0.0),)) -> dict[str, np.ndarray]:
    """The points between which a person is drawn, in the world [m]; holds: as of `footholds`.

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
    for name in ("heel", "ball"):
        points[name] = _pair_points(kin, "foot", getattr(body, name))
    points["toe"] = _toe_points(body, kin, body.toe, holds)
    hand = INDEX["hand_r"]
    (_, _, women, *_), (_, _, men, *_) = DE_LEVA["hand"]
    share = (women + body.male * (men - women)) / 100
    points["finger_tip"] = _pair_points(kin, "hand", body.com[hand : hand + 2] / share)
    points["head_top"] = _segment_point(kin, "head", (0, 0, _head(body)))
    return points


def force_arrows(body: Body, loads: Loads) -> tuple[np.ndarray, np.ndarray]:
    """Tail and tip [2, 3, T] m of the arrows of the ground's forces, ARROW statures a body weight.

    They begin at the centre of pressure; below CONTACT_LOAD they have no length.
    """
    weight = body.mass * G
    is_loaded = loads.force[:, 2:] > CONTACT_LOAD * weight
    length = np.where(is_loaded, loads.force * (ARROW * body.height / weight), 0)
    return loads.cop, loads.cop + length


def footholds(body: Body, loads: Loads) -> list[tuple[float, float, float]]:
    """x [m], height [m] and slope of the ground below each contact, along x.

    The path of the centre of pressure lies in the ground: a straight line is put through it,
    weighted with the force.  Paths shorter than 8 cm are given the middle slope of the others.
    """
    holds, slopes = [], []
    for force, cop in zip(loads.force, loads.cop, strict=True):
        for first, last in _contacts(body, force):
            x, z, weight = cop[0, first:last], cop[2, first:last], force[2, first:last]
            centre, height = np.average(x, weights=weight), np.average(z, weights=weight)
            is_long = np.ptp(x) > 0.08
            slope = np.polyfit(x, z, 1, w=np.sqrt(weight))[0] if is_long else np.nan
            slopes += [slope] if is_long else []
            holds.append((centre, height, slope))
    usual = np.median(slopes) if slopes else 0.0
    return sorted((x, z, usual if np.isnan(slope) else slope) for x, z, slope in holds)


def _contacts(body: Body, force: np.ndarray) -> np.ndarray:
    """First and one past the last sample [n, 2] of the contacts of one foot's force [3, T]."""
    is_loaded = np.concatenate([[False], force[2] > CONTACT_LOAD * body.mass * G, [False]])
    return np.flatnonzero(is_loaded[1:] != is_loaded[:-1]).reshape(-1, 2)


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


def make_stage(body: Body, t: np.ndarray, kin: Kinematics, loads: Loads | None) -> Stage:
    """What is drawn of a movement at t [T] s; without loads there are neither arrows nor strikes.

    The ground is then level, below the lowest point of the feet.
    """
    pelvis, no_arrows = kin.position[INDEX["pelvis"]], np.zeros((2, 3, len(t)))
    holds, strikes, tail, tip = [], np.zeros(0, int), no_arrows, no_arrows
    if loads is not None:
        tail, tip = force_arrows(body, loads)
        holds = footholds(body, loads)
        strikes = np.array([first for first, _ in _contacts(body, loads.force[0]) if first > 0])
    if not holds:
        lowest = min(_pair_points(kin, "foot", p)[:, 2].min() for p in (body.heel, body.ball))
        holds = [(float(pelvis[0].mean()), float(lowest), 0.0)]
    # Below the pelvis, without its sway and, uphill, along a straight line through the footholds.
    x, z, _ = np.array(holds).T
    rise = np.polyfit(x, z, 1) if np.ptp(x) > 0.3 else [z.mean()]
    middle = np.polyval(np.polyfit(t, pelvis[1], 1), t)
    origin = np.stack([pelvis[0], middle, np.polyval(rise, pelvis[0])])
    parts = _parts(body, kin, holds)
    return Stage(parts, tail, tip, origin, _surface(holds), strikes, float(body.height))


def _parts(body: Body, kin: Kinematics, holds: list[tuple[float, float, float]]) -> list:
    """The body's parts as Stage has them; radii are our choice, shares of the stature."""
    points = body_points(body, kin, holds)
    head, waist, neck = _head(body), points["waist"], points["neck"]
    chest = waist + 0.66 * (neck - waist)
    skull, chin = (
        _segment_point(kin, "head", np.array(at) * head) for at in ((0.04, 0, 0.6), (0.2, 0, 0.36))
    )
    parts = [
        (FLESH, [(neck, 0.031), (skull, 0.032)]),
        (FLESH, [(skull, 0.055), (chin, 0.027)]),
        (FLESH, [(waist, 0.058), (chest, 0.066), *((p, 0.033) for p in points["shoulder"])]),
        (FLESH, [(waist, 0.058), *((p, 0.050) for p in points["hip"])]),
    ]
    sole = []
    # Radius, and where inwards; the circle at the ball turns with the toes, over their joint.
    for name, radius, inwards in (("heel", 0.016, 1), ("ball", 0.012, 0), ("toe", 0.009, -1)):
        inside = getattr(body, name) + radius * body.height * np.array((inwards, 0, 1))
        if name == "heel":
            centres = _pair_points(kin, "foot", inside)
        else:
            centres = _toe_points(body, kin, inside, holds)
        sole.append((centres, radius))
    for side, colour in enumerate(SIDES.values()):
        at = {name: pair[side] for name, pair in points.items()}
        calf = 0.72 * at["knee"] + 0.28 * at["ankle"]
        foot = [(at["ankle"], 0.021), *((centres[side], radius) for centres, radius in sole)]
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


def _segment_point(kin: Kinematics, segment: str, place) -> np.ndarray:
    """The point `place` [3] of a segment in the world [3, T]."""
    i = INDEX[segment]
    return kin.position[i] + np.einsum("ijt,j->it", kin.rotation[i], place)


def _pair_points(kin: Kinematics, name: str, places: np.ndarray) -> np.ndarray:
    """The points `places` [2, 3] of a pair of segments in the world [2, 3, T]."""
    return np.stack(
        [_segment_point(kin, f"{name}_{side}", p) for side, p in zip("rl", places, strict=True)]
    )


def _toe_points(body: Body, kin: Kinematics, places: np.ndarray, holds) -> np.ndarray:
    """The points `places` [2, 3] of the toes in the world [2, 3, T], bent by the ground."""
    ahead = _pair_points(kin, "foot", body.ball)[:, 0]
    ground = np.interp(ahead, *_surface(holds))
    slope = float(np.median([slope for _, _, slope in holds]))
    return np.asarray(toe_points(body, kin, places, ground, slope))


def _project(point) -> np.ndarray:
    """World [3, ...] -> right, up and towards the viewer [3, ...]."""
    x, y, z = np.asarray(point, float)
    right, up = OBLIQUE
    return np.stack([x + right * y, z + up * y, right * x - y + up * z])


def person_shapes(stage: Stage, i: int) -> list:
    """The person and the arrows at sample i: (outline [n, 2], colour, edge) from far to near."""
    origin, shaded = stage.origin[:, i], []
    for colour, balls in stage.parts:
        across, up, near = _project(np.stack([p[:, i] - origin for p, _ in balls], 1))
        radius = np.array([r for _, r in balls])[:, None]
        rim = ((across + 1j * up)[:, None] + radius * CIRCLE).ravel()
        rim = np.stack([rim.real, rim.imag], 1)
        shaded.append((near.mean(), rim[ConvexHull(rim).vertices], colour, "white"))
    shapes = [shape for _, *shape in sorted(shaded, key=lambda shape: shape[0])]
    for tail, tip in zip(stage.tail[:, :, i], stage.tip[:, :, i], strict=True):
        ends = _project(np.stack([tail, tip], 1) - origin[:, None])[:2].T
        if np.ptp(ends, 0).any():
            shapes.append((arrow_outline(*ends, 0.012 * stage.stature), INK, "white"))
    return shapes


def ground_shapes(stage: Stage, i: int, reach: float, stripes: float | None = None) -> list:
    """The ground `reach` [m] back and ahead of the person at sample i, with marks every `stripes`.

    Shapes like those of `person_shapes`: the upper faces, marks, then the front.
    """
    (x, z), origin = stage.ground, stage.origin[:, i]
    back, ahead = origin[0] - reach, origin[0] + reach
    risers = x[1:][np.diff(x) == 0]
    back = max(risers[(risers > back) & (risers < back + SLIVER)], default=back) + 1e-6
    ahead = min(risers[(risers < ahead) & (risers > ahead - SLIVER)], default=ahead) - 1e-6
    is_inside = (x > back) & (x < ahead)
    ends = np.interp((back, ahead), x, z)
    x = np.r_[back, x[is_inside], ahead] - origin[0]
    z = np.r_[ends[0], z[is_inside], ends[1]] - origin[2]

    def line(x, z, y):
        return _project(np.stack([x, np.full_like(x, y), z]))[:2].T

    near, far = line(x, z, -HALF_WIDTH), line(x, z, HALF_WIDTH)
    below = line(x, np.full_like(z, z.min() - SLAB), -HALF_WIDTH)
    shapes = [
        (np.array([near[k], near[k + 1], far[k + 1], far[k]]), TOP, TOP) for k in range(len(x) - 1)
    ]
    if stripes:
        marks = np.arange(np.ceil(back / stripes), np.floor(ahead / stripes) + 1) * stripes
        marks -= origin[0]
        height = np.interp(marks, x, z)
        ends = np.stack([line(marks, height, -HALF_WIDTH), line(marks, height, HALF_WIDTH)], 1)
        shapes += [(pair, FRONT, FRONT) for pair in ends]
    shapes.append((np.concatenate([near, below[::-1]]), FRONT, FRONT))
    return shapes


def polygons(shapes: list, shift: float = 0.0) -> dict:
    """Shapes as the properties of a PolyCollection, `shift` to the right."""
    outlines, faces, edges = zip(*shapes, strict=True)
    verts = [outline + np.array((shift, 0)) for outline in outlines]
    return {"verts": verts, "facecolors": faces, "edgecolors": edges}


def arrow_outline(tail: np.ndarray, tip: np.ndarray, width: float) -> np.ndarray:
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
