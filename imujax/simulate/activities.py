"""The everyday movements of MoVi as motions of the skeleton, for pre-training.

Each of 19 movements is a score (scores.py): a list of poses with the time that it takes to get
there, some of them repeated.  A performance follows the score with a person's lengths, manner and
mistakes, and is kept as coefficients of quintic B-splines: four times differentiable, and one
compiled program for all movements and people.  Walking and jogging, the other two of the 21, belong
to gait.py.

Feet are placed in the world, so that a foot that stands stands still.  A jump's flight is that of
the centre of mass under gravity; push-off and landing last as long as its speed at both ends asks
for.  On hands and knees the height of the hips is that of the thigh over the knee that carries.

Time is the last axis.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.simulate import skeleton
from imujax.simulate.body import Body, leg
from imujax.simulate.curves import rolled, sole, spline
from imujax.simulate.scores import (
    AGAIN,
    ALIKE,
    AT,
    BOTH,
    DEGREE,
    FLIGHT,
    HANDS,
    HIT,
    LAND,
    LIMBS,
    LONE,
    MIRROR,
    MOVEMENTS,
    OF_GAIT,
    PLACED,
    PUSH,
    SIGN,
    SIZED,
    STAND,
    TABLE,
    UNIT,
    UP,
    WHOLE,
    D,
    Table,
    mask,
    moved,
)
from imujax.simulate.skeleton import PAIR, Tracks, apply, cross, dot, turned

KNOT = 0.025  # s between the splines' knots: a shake of 7 Hz keeps .7 of its amplitude

# Standard deviations, our choice.  Of a person's posture:
POSTURE = UNIT * mask(
    pelvis=(0.5, 3, 1),
    trunk=(0.7, 3, 1),
    head=(1, 4, 2),
    foot=(0, 0.015, 0, 0, 4, 0),
    open=4,
    girdle=(1, 2),
    arm=(3, 1.5, 5),
    elbow=(4, 10),
    hand=(4, 3),
    reach=(0.02, 0, 0.025),
    swivel=6,
)
# of every pose in a performance (feet stay where they are put):
WANDER = UNIT * mask(
    pelvis=(0.4, 0.6, 0.8),
    trunk=(0.6, 1, 1.2),
    head=(1, 2, 2.5),
    girdle=(0.5, 1),
    arm=(1.5, 1.2, 2),
    elbow=(2, 3),
    hand=(3, 2),
    reach=(0.01, 0.004, 0.01),
    swivel=2,
)
# and of the sway that never stops:
SWAY = UNIT * mask(
    root=(0.004, 0.004, 0),
    pelvis=(0.3, 0.4, 0.5),
    trunk=(0.4, 0.6, 0.7),
    head=(0.8, 1.3, 3),
    girdle=(0.3, 0.3),
    arm=(0.8, 0.7, 1),
    elbow=(1, 1.5),
    hand=(1.5, 1),
    reach=(0.006, 0.003, 0.006),
)
BREATH = UNIT * mask(trunk=(0, -0.3, 0), girdle=(0.7, 0), head=(0, 0.2, 0))
WAVES = 4  # sines in the sway, .1 to 1 Hz; the breath has .2 to .3 Hz
VARY = {
    "tempo": (0.10, 0.06, 0.06),  # logarithm of the time: persons, performances, single poses
    "pause": 0.35,  # the same of a pose held
    "size": (0.10, 0.06, 0.05),  # logarithm of the way from standing: the same three
    "place": (0.06, 0.05),  # of steps: persons, performances
}
BEFORE = (0.3, 1.0)  # s of standing at the beginning, least and most; at the end at least
AFTER = 0.5

# Way over (speed x time) of a push and a landing: .5 is a constant force, more is more at the
# lower end of a push and less at the beginning of a landing.
PUSH_SHARE, LAND_SHARE = 0.56, 0.42
STOP = 1.7  # of the mean speed to a HIT is left at its end

MOST_SLOW = 1.2  # by so much, no more, a performance is slowed to fill its time

# Of the leg: from here on the pelvis comes down, before the skeleton draws the foot in.
STRAIGHT, SOFT = skeleton.REACH[0] - 0.0005, 0.001
KNEE = 0.06  # height of a kneeling knee's centre above the floor, share of the leg
STIFF = 3 * DEGREE  # least flexion of an elbow
BACK = -120 * DEGREE  # where the flexion of the arm jumps by a turn: no arm gets there
BEND = (0.30, 0.985)  # least and most distance of shoulder and wrist, share of the arm


class Manner(NamedTuple):
    """What is a person's own in all movements.

    posture [D]: added to every pose; slow []: time of a pose in shares of the score's; size [D]:
    way from standing in shares of the score's; place []: the same of steps.
    """

    posture: jax.Array
    slow: jax.Array
    size: jax.Array
    place: jax.Array


class Movement(NamedTuple):
    """One performance: spline coefficients at K = seconds / KNOT + 6 knots.

    track [44, K]: of the tracks, flat; height [2, K] m: of the right and left sole's lowest point
    above the floor, of a kneeling leg's knee.
    """

    track: jax.Array
    height: jax.Array


def index(name: str) -> int:
    """Number of a movement in MOVEMENTS, as `perform` wants it."""
    if name in OF_GAIT:
        raise UserError(f"{name} has no score of poses; take it from imujax.simulate.gait")
    if name not in MOVEMENTS:
        raise UserError(f"there is no movement {name!r}; there are {', '.join(MOVEMENTS)}")
    return MOVEMENTS.index(name)


def _normal(key: jax.Array, *shape: int) -> jax.Array:
    """Standard normal, cut at 2; the same numbers in every precision."""
    return jax.random.truncated_normal(key, -2, 2, shape, jnp.float32)


def _size(z: jax.Array, spread: float, mask: np.ndarray = SIZED) -> jax.Array:
    return jnp.exp(spread * mask * z[..., ALIKE])


@jax.jit
def own(key: jax.Array, share: float | jax.Array = 1.0) -> Manner:
    """A person's manner, drawn; share scales how much people differ."""
    z = share * _normal(key, 3, D)
    return Manner(
        posture=POSTURE * z[0],
        slow=jnp.exp(VARY["tempo"][0] * z[2, 0]),
        size=_size(z[1], VARY["size"][0]),
        place=jnp.exp(VARY["place"][0] * z[2, 1]),
    )


def perform(
    key: jax.Array,
    body: Body,
    movement: str | int | jax.Array,
    seconds: float,
    manner: Manner | None = None,
) -> Movement:
    """One performance of a movement, standing at its beginning and its end.

    movement: its name, or its number in MOVEMENTS, which may be traced.  It is done as often as
    `seconds` have room for; less than WHOLE seconds are a piece of a performance of WHOLE seconds,
    begun at random.  Without a manner one is drawn.  The same key gives the same performance.
    """
    number = index(movement) if isinstance(movement, str) else movement
    for_manner, rest = jax.random.split(key)
    return _perform(rest, body, own(for_manner) if manner is None else manner, number, seconds)


@partial(jax.jit, static_argnums=4)
def _perform(key, body: Body, manner: Manner, movement, seconds: float) -> Movement:
    whole = max(seconds, WHOLE)
    for_poses, for_sway, for_piece = jax.random.split(key, 3)
    grid = (jnp.arange(_knots(whole)) - 2) * KNOT
    times, poses, how = _sequence(for_poses, sum(leg(body)), manner, movement, whole)
    channels, flight = _between(times, poses, how, G / sum(leg(body)), grid)
    tracks, height = _placed(body, channels + _sway(for_sway, grid), flight)
    movement = Movement(_flat(_falling(body, tracks, flight, grid)), height)
    begin = jax.random.randint(for_piece, (), 0, _knots(whole) - _knots(seconds) + 1)
    return jax.tree.map(
        lambda x: jax.lax.dynamic_slice_in_dim(x, begin, _knots(seconds), 1), movement
    )


def _knots(seconds: float) -> int:
    return int(np.ceil(seconds / KNOT)) + 6


def tracks(body: Body, movement: Movement, t: jax.Array) -> Tracks:
    """What the movement prescribes at t [T], 0 to its seconds: for `skeleton.kinematics`, not free.

    The body has already gone into the movement; it is asked for as gait.tracks asks for it.
    """
    return _unflat(spline(movement.track, t / KNOT))


def height(movement: Movement, t: jax.Array) -> jax.Array:
    """Of the right and left sole's lowest point above the floor [2, T] m, of a kneeling leg's knee.

    0 where they stand.
    """
    return spline(movement.height, t / KNOT)


# Of the tracks that a movement prescribes, in their order.
SHAPES = {
    "root": (3,),
    "pelvis": (3,),
    "trunk": (3,),
    "head": (3,),
    "ankle": (2, 3),
    "foot": (2, 3),
    "leg": (2,),
    "girdle": (2, 2),
    "arm": (2, 3),
    "elbow": (2, 2),
    "hand": (2, 2),
}


def _flat(tracks: Tracks) -> jax.Array:
    parts = (getattr(tracks, name) for name in SHAPES)
    return jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in parts])


def _unflat(flat: jax.Array) -> Tracks:
    parts = jnp.split(flat, np.cumsum([np.prod(shape) for shape in SHAPES.values()])[:-1])
    named = zip(SHAPES.items(), parts, strict=True)
    return Tracks(**{name: x.reshape(*shape, -1) for (name, shape), x in named})


def _sequence(key, length, manner: Manner, movement, seconds: float):
    """The poses of one performance, one after the other.

    -> times [N] s, poses [N, D], how [N] each is come to.
    """
    few, fair, many = jax.random.split(key, 3)
    few, fair = _normal(few, D + 2), jax.random.uniform(fair, (2,), jnp.float32)
    row = Table(*(jnp.asarray(column)[movement] for column in TABLE))
    total = int(seconds / 0.1) + row.how.shape[0]
    many = _normal(many, total, 2 * D + 1)
    place = manner.place * jnp.exp(VARY["place"][1] * few[D])
    poses = _own_poses(row.pose, place, manner.size * _size(few[:D], VARY["size"][1]))
    slow = manner.slow * jnp.exp(VARY["tempo"][1] * few[D + 1])
    duration = _durations(row, poses[:, UP] * length, slow)

    begin = BEFORE[0] + (BEFORE[1] - BEFORE[0]) * fair[0]
    room = seconds - begin - AFTER
    number = jnp.arange(row.how.shape[0])
    inside = (number >= row.first) & (number < row.first + row.length)
    outside = (number > 0) & (number < row.count) & ~inside
    once, rest = (jnp.where(x, duration, 0).sum() for x in (inside, outside))
    most = (total - row.count) // row.length
    loops = jnp.clip(jnp.round((room - rest) / once).astype(int), 1, most)

    # The score with its loop unrolled, standing at the end as long as need be.
    i = jnp.arange(total)
    round_ = (i - row.first) // row.length
    back = jnp.clip(round_, 0, loops - 1) * row.length
    at = jnp.minimum(i - back, row.count - 1)
    spread = jnp.where(row.pause[at], VARY["pause"], VARY["tempo"][2])
    duration, how = duration[at], row.how[at]
    ours = how <= HIT  # the others are the earth's
    duration = jnp.where(ours, jnp.exp(spread * many[:, -1]), 1) * duration
    used = (i > 0) & (i < row.count + (loops - 1) * row.length)
    soft, hard = (jnp.where(used & x, duration, 0).sum() for x in (ours, ~ours))
    duration = jnp.where(ours, jnp.minimum((room - hard) / soft, MOST_SLOW), 1) * duration
    times = begin + jnp.cumsum(jnp.where(i > 0, duration, 0))

    done = jnp.clip(round_, 0, loops)
    half = jnp.where(row.both, (loops + 1) // 2, loops)
    hand = jnp.where(fair[1] < 0.5, 1, -1)
    other = (hand < 0) ^ (jnp.minimum(done, loops - 1) >= half)
    poses = STAND + _size(many[:, :D], VARY["size"][2], AGAIN) * (poses[at] - STAND)
    poses = jnp.where(other[:, None], SIGN * poses[:, MIRROR], poses)
    free = 1 - HANDS * poses[:, AT["world"]]  # hands on the floor stay where they are put
    poses = poses + free * (manner.posture + WANDER * many[:, D : 2 * D])
    ahead, left = row.shift * place
    net = jnp.minimum(done, half) - jnp.maximum(done - half, 0)
    return times, moved(poses, ahead * done, left * hand * net), how


def _own_poses(poses, place, size):
    """A score's poses [J, D] as large as this performance has them."""
    far = poses - STAND
    size = size * (1 + PLACED * (place - 1)) * jnp.ones_like(far)
    # The deeper the pelvis goes, the less it is ours how deep: the floor is where it is.
    down = jnp.minimum(far[:, UP], 0)
    deep = 1 + (size[:, AT["arm"].start] - 1) * (1 - (down / STAND[UP]) ** 2)
    return STAND + size.at[:, UP].set(jnp.where(down < 0, deep, 1)) * far


def _durations(row: Table, up: jax.Array, slow: jax.Array):
    """Time [J] s of every pose of a score, whose pelvis is at the heights `up` [J] m.

    A flight takes the score's time, whoever jumps; its speeds at both ends are those of free fall
    over the rise from pose to pose, and make push-off and landing short or long.
    """
    rise = up - jnp.roll(up, 1)
    fall = G * row.seconds / 2
    after = jnp.roll(rise / row.seconds + fall, -1)
    before = jnp.roll(rise / row.seconds - fall, 1)
    return jnp.select(
        [row.how == PUSH, row.how == LAND, row.how == FLIGHT],
        [
            jnp.abs(rise / (PUSH_SHARE * after)),
            jnp.abs(rise / (LAND_SHARE * before)),
            row.seconds,
        ],
        slow * row.seconds,
    )


def _between(times, poses, how, g, grid):
    """The channels [D, K] at the grid's times [K], and the flights; g is in legs/s^2.

    Quintics through the poses with the slopes of Fritsch and Butland 1984 (SIAM J Sci Stat Comput
    5:300), which do not overshoot and are at rest where a pose is held.
    -> channels, flight: of each time how its pose is come to, the height of a flight over its chord
    [m], the share of the way to the pose and the time that takes, and begin and end of the flight
    that this is, or comes before or after [K].
    """
    value, way = poses.T, jnp.diff(poses.T)
    span, kind = jnp.diff(times), how[1:]
    slope = way / span
    left, right = slope[:, :-1], slope[:, 1:]
    one, two = span[:-1] + 2 * span[1:], 2 * span[:-1] + span[1:]
    along = left * right > 0
    bottom = jnp.where(along, one * right + two * left, 1)
    inner = jnp.where(along, (one + two) * left * right / bottom, 0)
    inner = jnp.pad(inner, ((0, 0), (1, 1)))
    begin, end = inner[:, :-1], inner[:, 1:]
    stops = jnp.abs(end) < 0.1 * jnp.abs(slope)
    struck = (kind == HIT) & stops & LIMBS[:, None]
    end = jnp.where(struck, STOP * slope, end)
    rise, fall = slope[UP], g * span / 2
    flies = kind == FLIGHT
    before, after = flies | (kind == LAND), flies | (kind == PUSH)
    lands = jnp.where(flies, rise - fall, jnp.roll(rise + fall, -1))
    begin = begin.at[UP].set(
        jnp.where(before, jnp.where(flies, rise + fall, jnp.roll(rise - fall, 1)), begin[UP])
    )
    end = end.at[UP].set(jnp.where(after, lands, end[UP]))

    # Accelerations of the cubics, shared where two meet softly, but not with one that hardly moves.
    early, late = (6 * slope - 4 * begin - 2 * end) / span, (2 * begin + 4 * end - 6 * slope) / span
    left, right = jnp.abs(left), jnp.abs(right)
    share = jnp.minimum(left, right) / jnp.maximum(jnp.maximum(left, right), 1e-9)
    met = jnp.pad(share * (late[:, :-1] + early[:, 1:]) / 2, ((0, 0), (1, 1)))
    jump = (np.arange(D) == UP)[:, None]
    start = jnp.where(jump & before, early, met[:, :-1])
    finish = jnp.where(struck | (jump & after), late, met[:, 1:])

    k = jnp.clip(jnp.searchsorted(times, grid, side="right") - 1, 0, span.shape[0] - 1)
    ends = jnp.stack(
        [value[:, :-1], begin * span, start * span**2, way, end * span, finish * span**2]
    )
    p, v, a, gap, u, b = ends[:, :, k]
    w = jnp.clip((grid - times[k]) / span[k], 0, 1)
    c3 = 10 * gap - 6 * v - 4 * u - 1.5 * a + 0.5 * b
    c4 = -15 * gap + 8 * v + 7 * u + 1.5 * a - b
    c5 = 6 * gap - 3 * v - 3 * u - 0.5 * a + 0.5 * b
    channels = p + w * (v + w * (a / 2 + w * (c3 + w * (c4 + w * c5))))
    now = kind[k]
    above = jnp.where(now == FLIGHT, G / 2 * span[k] ** 2 * w * (1 - w), 0)
    at = k + (now == PUSH) - (now == LAND)
    return channels, (now, above, w, span[k], times[at], times[at + 1])


def _sway(key, grid):
    """What never rests, of every channel [D, K]: slow sines and the breath."""
    turn, rate, size = jax.random.uniform(key, (3, D, WAVES), jnp.float32)
    hertz = 0.1 * 10**rate
    # Slower sines are larger; the mean square of all is 1.
    size = (0.5 + size) / hertz
    size = size * jnp.sqrt(2 / (size**2).sum(1, keepdims=True))
    wave = jnp.sin(2 * jnp.pi * (hertz[..., None] * grid + turn[..., None]))
    sway = (size[..., None] * wave).sum(1)
    breath = jnp.sin(2 * jnp.pi * ((0.2 + 0.1 * turn[0, 0]) * grid + rate[0, 0]))
    return SWAY[:, None] * sway + BREATH[:, None] * breath


SIDE = np.array([[-1.0], [1.0]], np.float32)  # right, left


def _placed(body: Body, channels, flight):
    """Channels [D, K] as this body's tracks, and the feet's heights [2, K] m."""

    def get(name):
        part = channels[AT[name]]
        return part if name in LONE else part.reshape(2, BOTH[name][0], -1)

    thigh, shank = leg(body)
    scale = thigh + shank
    pelvis, trunk = turned(get("pelvis")), turned(get("trunk"))
    foot, kneel = get("foot"), get("kneel")[0]
    lift = foot[:, 2] * scale
    height = lift + flight[1]
    roll = jnp.stack([-SIDE * foot[:, 5], foot[:, 3], SIDE * foot[:, 4]], 1)
    along, up = rolled(sole(body), foot[:, 3])
    east, north = foot[:, 0] * scale, SIDE * foot[:, 1] * scale
    flat = jnp.stack(
        [east + along * jnp.cos(roll[:, 2]), north + along * jnp.sin(roll[:, 2]), up + height]
    )
    knee = jnp.stack([east + shank, north, KNEE * scale + lift])  # on hands and knees

    hips = jnp.stack([body.joint[PAIR["thigh"]], body.joint[PAIR["thigh"] + 1]], 1)
    hips = apply(pelvis[:, :, None], hips[:, :, None])  # [3, 2, K], from the pelvis
    root = get("root") * scale
    root = root.at[2].add(rolled(sole(body), jnp.zeros_like(root[2]))[1])
    root = root.at[2].set(_pelvis_height(root, hips, flat, knee, lift, kneel, thigh, scale))
    hip = root[:, None] + hips
    down = knee - hip
    knee = hip + down * (thigh / jnp.sqrt(dot(down, down)))
    # Of a kneeling leg the ankle is as high as the knee, or higher where the ball is under it.
    ball = body.ball[0, 0] * jnp.sin(foot[:, 3]) - body.ball[0, 2] * jnp.cos(foot[:, 3])
    over = 0.01 * jax.nn.softplus((ball - KNEE * scale) / 0.01)
    back = jnp.stack([-jnp.sqrt(shank**2 - over**2), jnp.zeros_like(over), over])
    ankle = flat + kneel * (knee + back - flat)

    # The knee lies in the half plane of this direction; the axis is across it, and where the
    # pelvis' x and y span it, there `leg` is measured.
    out = get("open")[:, 0]
    way = jnp.stack([jnp.cos(out), SIDE * jnp.sin(out), 0.25 * jnp.ones_like(out)])
    way = way + kneel * ((knee - hip) / thigh - way)
    frame = jnp.swapaxes(pelvis, 0, 1)[:, :, None]
    along = apply(frame, ankle - hip)
    axis = apply(frame, cross(way, ankle - hip))
    axis = axis - along * (axis[2] / along[2])
    turn = jnp.arctan2(-axis[0], axis[1])

    girdle, held = get("girdle"), get("held")
    given = jnp.concatenate([get("arm"), get("elbow")[:, :1]], 1)
    waist = root + apply(pelvis, body.joint[1])
    reached, palm = _reaching(
        body,
        trunk,
        waist,
        girdle,
        get("reach"),
        get("world")[0],
        get("swivel")[:, 0],
        get("elbow")[:, 1],
        scale,
    )
    arm = given + held * (reached - given)
    hand = get("hand")
    curl = hand[:, 0] + get("world") * held[:, 0] * (palm - hand[:, 0])
    bend = STIFF + 2 * DEGREE * jax.nn.softplus((arm[:, 3] - STIFF) / (2 * DEGREE))
    return Tracks(
        root=root,
        pelvis=get("pelvis"),
        trunk=get("trunk"),
        head=get("head"),
        ankle=jnp.moveaxis(ankle, 1, 0),
        foot=roll,
        leg=turn,
        girdle=girdle,
        arm=arm[:, :3],
        elbow=jnp.stack([bend, get("elbow")[:, 1]], 1),
        hand=jnp.stack([curl, hand[:, 1]], 1),
    ), height


def _pelvis_height(root, hips, flat, knee, lift, kneel, thigh, scale):
    """Height [K] of the pelvis: as given, but in reach of both feet, or carried by the knees."""
    hip = root[:, None] + hips
    aside = (hip[0] - flat[0]) ** 2 + (hip[1] - flat[1]) ** 2
    top = flat[2] + jnp.sqrt(jnp.maximum((STRAIGHT * scale) ** 2 - aside, 1e-4)) - hips[2]
    soft = SOFT * scale
    reach = root[2]
    for side in (0, 1):
        reach = reach - soft * jax.nn.softplus((reach - top[side] - 9 * kneel) / soft)
    aside = (hip[0] - knee[0]) ** 2 + (hip[1] - knee[1]) ** 2
    over = KNEE * scale + jnp.sqrt(jnp.maximum(thigh**2 - aside, 1e-2)) - hips[2]
    carries = jnp.exp(-((lift / 0.01) ** 2)) + 1e-3
    return reach + kneel * ((carries * over).sum(0) / carries.sum(0) - reach)


def _reaching(body: Body, trunk, waist, girdle, reach, world, swivel, pronation, scale):
    """The arms [2, 4, K] (flexion, abduction, inward turn, elbow) that bring the wrists to `reach`,
    and the hands' flexion [2, K] that lays them flat on the floor."""
    upper, fore = -body.joint[PAIR["forearm"], 2], -body.joint[PAIR["hand"], 2]
    length = upper + fore
    part = [
        jnp.stack([body.joint[PAIR[name] + s] for s in (0, 1)], 1)[:, :, None]
        for name in ("shoulder", "upper_arm")
    ]
    tip = jnp.stack([SIDE * girdle[:, 0], 0 * girdle[:, 0], -SIDE * girdle[:, 1]])
    shoulder = part[0] + apply(turned(tip), part[1])  # [3, 2, K] in the trunk's frame
    goal = jnp.stack([reach[:, 0], SIDE * reach[:, 1], reach[:, 2]])
    chest = (part[0] + part[1])[2, 0] * jnp.array([0.0, 0.0, 1.0])[:, None, None]
    inside = jnp.swapaxes(trunk, 0, 1)[:, :, None]
    wrist = chest + goal * length
    wrist = wrist + world * (apply(inside, goal * scale - waist[:, None]) - wrist)
    way = wrist - shoulder
    far = jnp.sqrt(dot(way, way))
    way = way / far
    least, most = (share * length for share in BEND)
    far = least + 0.01 * jax.nn.softplus((far - least) / 0.01)
    far = most - 0.01 * jax.nn.softplus((most - far) / 0.01)
    # The elbow lies below and somewhat behind a low hand, before a high one.
    hang = jnp.stack([0.35 * way[2], SIDE * jnp.sin(swivel), -jnp.cos(swivel)])
    hang = hang - dot(hang, way) * way
    hang = hang / jnp.sqrt(dot(hang, hang))
    near = (far**2 + upper**2 - fore**2) / (2 * far * upper)  # cosine at the shoulder
    lower = near * way + jnp.sqrt(1 - near**2) * hang  # along the upper arm
    forearm = (far * way - upper * lower) / fore
    cosine = dot(forearm, lower)
    x = forearm - cosine * lower
    sine = jnp.sqrt(dot(x, x))
    x, z = x / sine, -lower
    y = cross(z, x)
    flexion = (-jnp.arctan2(z[0], z[2]) - BACK) % (2 * jnp.pi) + BACK
    abduction = -SIDE * jnp.arcsin(z[1])
    inward = -SIDE * jnp.arctan2(x[1], y[1])
    angles = jnp.stack([flexion, abduction, inward, jnp.arctan2(sine, cosine)], 1)
    # The hand turns about its x axis, from the forearm's -z to its y; the floor is across.
    ahead = cosine * x + sine * z
    palm = SIDE * jnp.sin(pronation) * ahead + jnp.cos(pronation) * y
    level, upright = (dot(trunk[2][:, None], v) for v in (palm, -forearm))
    return angles, -SIDE * jnp.arctan2(SIDE * upright, SIDE * level)


def _falling(body: Body, tracks: Tracks, flight, grid) -> Tracks:
    """In a flight nothing but the weight pulls at the centre of mass: what the limbs do to it, the
    pelvis does the other way, and before and after it is led over to that speed.  The feet keep
    their height under the pelvis; the blow of their landing stays.
    """
    kind, above, share, span, begin, end = flight
    position, rotation = skeleton.pose(body, tracks, free=False)
    at = position + apply(jnp.moveaxis(rotation, 0, 2), body.com.T[:, :, None]).swapaxes(0, 1)
    centre = (body.segment_mass[:, None, None] * at).sum(0) / body.mass  # [3, K]

    def path(time):
        return jnp.stack([jnp.interp(time, grid, c) for c in centre])

    up = jnp.array([0.0, 0.0, 1.0])[:, None]
    here, there = path(begin), path(end)
    mean, gain = (there - here) / (end - begin), up * G / 2 * (end - begin)
    free = here + share * (there - here) + up * above
    # Speeds the pelvis still lacks at the beginning of the flight, and has too much at its end.
    lack = mean + gain - (here - path(begin - KNOT)) / KNOT
    excess = (path(end + KNOT) - there) / KNOT - (mean - gain)
    to_go = 1 - share
    off = jnp.select(
        [kind == FLIGHT, kind == PUSH, kind == LAND],
        [
            centre - free,
            lack * span * share**2 * to_go,
            (1 - up) * excess * span * share * to_go**2,
        ],
        0.0,
    )
    ankle = tracks.ankle - jnp.where(kind == FLIGHT, off, 0) * up
    return tracks._replace(root=tracks.root - off, ankle=ankle)
