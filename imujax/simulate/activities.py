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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.simulate import skeleton
from imujax.simulate.body import Body, leg_lengths
from imujax.simulate.curves import roll_ankle, sole_shape, spline, toe_extension
from imujax.simulate.scores import (
    CHANNEL_UNITS,
    CHANNELS,
    DEGREE,
    FLIGHT,
    FLOOR_PLACES,
    FULL_SECONDS,
    GAIT_MOVEMENTS,
    HAND_PLACES,
    HIT,
    IS_LIMB,
    LAND,
    MIDLINE,
    MIRROR_INDEX,
    MIRROR_SIGN,
    MOVEMENTS,
    PAIRED,
    PUSH,
    ROOT_UP,
    SCALED,
    SCALED_EACH_POSE,
    SCORE_TABLE,
    SHARED_DRAWS,
    STANDING,
    D,
    ScoreTable,
    per_channel,
    shift_poses,
)
from imujax.simulate.skeleton import PAIR, Tracks, cross, dot, euler_matrix, matvec

KNOT_STEP = 0.025  # s between the splines' knots: a shake of 7 Hz keeps .7 of its amplitude

# Standard deviations, our choice.  Of a person's posture:
POSTURE_SD = CHANNEL_UNITS * per_channel(
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
POSE_SD = CHANNEL_UNITS * per_channel(
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
SWAY_SD = CHANNEL_UNITS * per_channel(
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
BREATH = CHANNEL_UNITS * per_channel(trunk=(0, -0.3, 0), girdle=(0.7, 0), head=(0, 0.2, 0))
SWAY_WAVES = 4  # sines in the sway, .1 to 1 Hz; the breath has .2 to .3 Hz
MOVEMENT_SD: dict[str, Any] = {
    "tempo": (0.10, 0.06, 0.06),  # logarithm of the time: persons, performances, single poses
    "pause": 0.35,  # the same of a pose held
    "size": (0.10, 0.06, 0.05),  # logarithm of the way from standing: the same three
    "place": (0.06, 0.05),  # of steps: persons, performances
}
STANDING_BEFORE = (0.3, 1.0)  # s of standing at the beginning, least and most; at the end at least
STANDING_AFTER = 0.5

# Way over (speed x time) of a push and a landing: .5 is a constant force, more is more at the
# lower end of a push and less at the beginning of a landing.
PUSH_SHARE, LAND_SHARE = 0.56, 0.42
HIT_SPEED = 1.7  # of the mean speed to a HIT is left at its end

MAX_SLOWING = 1.2  # by so much, no more, a performance is slowed to fill its time

# Of the leg: from here on the pelvis comes down, before the skeleton draws the foot in.
STRAIGHT_LEG, SOFT_LEG = skeleton.REACH[0] - 0.0005, 0.001
KNEE_HEIGHT = 0.06  # height of a kneeling knee's centre above the floor, share of the leg
MIN_ELBOW = 3 * DEGREE  # least flexion of an elbow
FLEXION_CUT = -120 * DEGREE  # where the flexion of the arm jumps by a turn: no arm gets there
WRIST_REACH = (0.30, 0.985)  # least and most distance of shoulder and wrist, share of the arm


class MovementManner(NamedTuple):
    """What is a person's own in all movements.

    Attributes
    ----------
    posture : jax.Array, [D]
        Added to every pose.
    slow : jax.Array, []
        Time of a pose in shares of the score's.
    size : jax.Array, [D]
        Way from standing in shares of the score's.
    place : jax.Array, []
        The same of steps.
    """

    posture: jax.Array
    slow: jax.Array
    size: jax.Array
    place: jax.Array


class Movement(NamedTuple):
    """One performance: spline coefficients at K = seconds / KNOT_STEP + 6 knots.

    Attributes
    ----------
    track : jax.Array, [44, K]
        Of the tracks, flat.
    height : jax.Array, [2, K]
        Of the right and left sole's lowest point above the floor, of a kneeling leg's knee, m.
    """

    track: jax.Array
    height: jax.Array


def movement_number(name: str) -> int:
    """Number of a movement in MOVEMENTS, as `perform` wants it."""
    if name in GAIT_MOVEMENTS:
        raise UserError(f"{name} has no score of poses; take it from imujax.simulate.gait")
    if name not in MOVEMENTS:
        raise UserError(f"there is no movement {name!r}; there are {', '.join(MOVEMENTS)}")
    return MOVEMENTS.index(name)


def _truncated_normal(key: jax.Array, *shape: int) -> jax.Array:
    """Standard normal, cut at 2; the same numbers in every precision."""
    return jax.random.truncated_normal(key, -2, 2, shape, jnp.float32)


def _size_factor(z: jax.Array, spread: float, scaled: np.ndarray = SCALED) -> jax.Array:
    return jnp.exp(spread * scaled * z[..., SHARED_DRAWS])


@jax.jit
def random_manner(key: jax.Array, share: float | jax.Array = 1.0) -> MovementManner:
    """A person's manner at random; `share` scales how much people differ."""
    z = share * _truncated_normal(key, 3, D)
    return MovementManner(
        posture=POSTURE_SD * z[0],
        slow=jnp.exp(MOVEMENT_SD["tempo"][0] * z[2, 0]),
        size=_size_factor(z[1], MOVEMENT_SD["size"][0]),
        place=jnp.exp(MOVEMENT_SD["place"][0] * z[2, 1]),
    )


def perform(
    key: jax.Array,
    body: Body,
    movement: str | int | jax.Array,
    seconds: float,
    manner: MovementManner | None = None,
) -> Movement:
    """One performance of a movement, standing at its beginning and its end.

    Parameters
    ----------
    key : jax.Array
        Random key; the same key gives the same performance.
    body : Body
        One person.
    movement : str, int or jax.Array
        Its name, or its number in MOVEMENTS, which may be traced.
    seconds : float
        The movement is done as often as these have room for; less than FULL_SECONDS are a piece of
        a performance of FULL_SECONDS, begun at random.
    manner : MovementManner, optional
        The person's; without it a random one.

    Returns
    -------
    Movement
        For `tracks` and `sole_height`.

    Raises
    ------
    UserError
        If there is no movement of that name, or it is one of gait.py's.
    """
    number = movement_number(movement) if isinstance(movement, str) else movement
    manner_key, performance_key = jax.random.split(key)
    manner = random_manner(manner_key) if manner is None else manner
    return _perform(performance_key, body, manner, number, seconds)


@partial(jax.jit, static_argnums=4)
def _perform(key, body: Body, manner: MovementManner, movement, seconds: float) -> Movement:
    total_seconds = max(seconds, FULL_SECONDS)
    pose_key, sway_key, piece_key = jax.random.split(key, 3)
    grid = (jnp.arange(_knot_count(total_seconds)) - 2) * KNOT_STEP
    leg = sum(leg_lengths(body))
    times, poses, approach = _pose_sequence(pose_key, leg, manner, movement, total_seconds)
    channels, flight = _interpolate_poses(times, poses, approach, G / sum(leg_lengths(body)), grid)
    tracks, height = _body_tracks(body, channels + _sway(sway_key, grid), flight)
    movement = Movement(_flatten_tracks(_fall_freely(body, tracks, flight, grid)), height)
    count = _knot_count(seconds)
    first = jax.random.randint(piece_key, (), 0, _knot_count(total_seconds) - count + 1)
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, count, 1), movement)


def _knot_count(seconds: float) -> int:
    return int(np.ceil(seconds / KNOT_STEP)) + 6


def tracks(body: Body, movement: Movement, t: jax.Array) -> Tracks:
    """What the movement prescribes at t [T], 0 to its seconds: for `skeleton.kinematics`, where
    `root_is_com` is False.

    The body has already gone into the movement; it is an argument as it is one of gait.tracks.
    """
    return _unflatten_tracks(spline(movement.track, t / KNOT_STEP))


def sole_height(movement: Movement, t: jax.Array) -> jax.Array:
    """Of the right and left sole's lowest point above the floor [2, T] m, of a kneeling leg's knee.

    0 where they stand.
    """
    return spline(movement.height, t / KNOT_STEP)


# Of the tracks that a movement prescribes, in their order.
TRACK_SHAPES = {
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


def _flatten_tracks(tracks: Tracks) -> jax.Array:
    parts = (getattr(tracks, name) for name in TRACK_SHAPES)
    return jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in parts])


def _unflatten_tracks(flat: jax.Array) -> Tracks:
    parts = jnp.split(flat, np.cumsum([np.prod(shape) for shape in TRACK_SHAPES.values()])[:-1])
    named = zip(TRACK_SHAPES.items(), parts, strict=True)
    return Tracks(**{name: x.reshape(*shape, -1) for (name, shape), x in named})


def _pose_sequence(key, length, manner: MovementManner, movement, seconds: float):
    """The poses of one performance, one after the other.

    -> times [N] s, poses [N, D], approach [N]: how each is come to.
    """
    performance_key, uniform_key, pose_key = jax.random.split(key, 3)
    z = _truncated_normal(performance_key, D + 2)
    uniform = jax.random.uniform(uniform_key, (2,), jnp.float32)
    row = ScoreTable(*(jnp.asarray(column)[movement] for column in SCORE_TABLE))
    total = int(seconds / 0.1) + row.approach.shape[0]
    z_pose = _truncated_normal(pose_key, total, 2 * D + 1)
    place = manner.place * jnp.exp(MOVEMENT_SD["place"][1] * z[D])
    size = manner.size * _size_factor(z[:D], MOVEMENT_SD["size"][1])
    poses = _scale_poses(row.poses, place, size)
    slow = manner.slow * jnp.exp(MOVEMENT_SD["tempo"][1] * z[D + 1])
    duration = _pose_durations(row, poses[:, ROOT_UP] * length, slow)

    begin = STANDING_BEFORE[0] + (STANDING_BEFORE[1] - STANDING_BEFORE[0]) * uniform[0]
    room = seconds - begin - STANDING_AFTER
    number = jnp.arange(row.approach.shape[0])
    in_loop = (number >= row.loop_first) & (number < row.loop_first + row.loop_length)
    out_of_loop = (number > 0) & (number < row.pose_count) & ~in_loop
    loop_time, other_time = (jnp.where(x, duration, 0).sum() for x in (in_loop, out_of_loop))
    max_loops = (total - row.pose_count) // row.loop_length
    loops = jnp.clip(jnp.round((room - other_time) / loop_time).astype(int), 1, max_loops)

    # The score with its loop unrolled, standing at the end as long as need be.
    i = jnp.arange(total)
    turn = (i - row.loop_first) // row.loop_length
    skipped = jnp.clip(turn, 0, loops - 1) * row.loop_length
    pose_number = jnp.minimum(i - skipped, row.pose_count - 1)
    spread = jnp.where(row.pause[pose_number], MOVEMENT_SD["pause"], MOVEMENT_SD["tempo"][2])
    duration, approach = duration[pose_number], row.approach[pose_number]
    voluntary = approach <= HIT  # the others are the earth's
    duration = jnp.where(voluntary, jnp.exp(spread * z_pose[:, -1]), 1) * duration
    used = (i > 0) & (i < row.pose_count + (loops - 1) * row.loop_length)
    flexible_time, fixed_time = (
        jnp.where(used & x, duration, 0).sum() for x in (voluntary, ~voluntary)
    )
    slowing = jnp.minimum((room - fixed_time) / flexible_time, MAX_SLOWING)
    duration = jnp.where(voluntary, slowing, 1) * duration
    times = begin + jnp.cumsum(jnp.where(i > 0, duration, 0))

    loops_done = jnp.clip(turn, 0, loops)
    half = jnp.where(row.both_sides, (loops + 1) // 2, loops)
    side = jnp.where(uniform[1] < 0.5, 1, -1)
    is_mirrored = (side < 0) ^ (jnp.minimum(loops_done, loops - 1) >= half)
    size = _size_factor(z_pose[:, :D], MOVEMENT_SD["size"][2], SCALED_EACH_POSE)
    poses = STANDING + size * (poses[pose_number] - STANDING)
    poses = jnp.where(is_mirrored[:, None], MIRROR_SIGN * poses[:, MIRROR_INDEX], poses)
    # Hands on the floor stay where they are put.
    movable = 1 - HAND_PLACES * poses[:, CHANNELS["world"]]
    poses = poses + movable * (manner.posture + POSE_SD * z_pose[:, D : 2 * D])
    ahead, left = row.shift * place
    net_loops = jnp.minimum(loops_done, half) - jnp.maximum(loops_done - half, 0)
    return times, shift_poses(poses, ahead * loops_done, left * side * net_loops), approach


def _scale_poses(poses, place, size):
    """A score's poses [J, D] as large as this performance has them."""
    deviation = poses - STANDING
    size = size * (1 + FLOOR_PLACES * (place - 1)) * jnp.ones_like(deviation)
    # The deeper the pelvis goes, the less it is ours how deep: the floor is where it is.
    down = jnp.minimum(deviation[:, ROOT_UP], 0)
    deep_size = 1 + (size[:, CHANNELS["arm"].start] - 1) * (1 - (down / STANDING[ROOT_UP]) ** 2)
    return STANDING + size.at[:, ROOT_UP].set(jnp.where(down < 0, deep_size, 1)) * deviation


def _pose_durations(row: ScoreTable, up: jax.Array, slow: jax.Array):
    """Time [J] s of every pose of a score, whose pelvis is at the heights `up` [J] m.

    A flight takes the score's time, whoever jumps; its speeds at both ends are those of free fall
    over the rise from pose to pose, and make push-off and landing short or long.
    """
    rise = up - jnp.roll(up, 1)
    fall = G * row.seconds / 2
    speed_after = jnp.roll(rise / row.seconds + fall, -1)
    speed_before = jnp.roll(rise / row.seconds - fall, 1)
    return jnp.select(
        [row.approach == PUSH, row.approach == LAND, row.approach == FLIGHT],
        [
            jnp.abs(rise / (PUSH_SHARE * speed_after)),
            jnp.abs(rise / (LAND_SHARE * speed_before)),
            row.seconds,
        ],
        slow * row.seconds,
    )


def _interpolate_poses(times, poses, approach, g, grid):
    """The channels [D, K] at the grid's times [K], and the flights; g is in legs/s^2.

    Quintics through the poses with the slopes of Fritsch and Butland 1984 (SIAM J Sci Stat Comput
    5:300), which do not overshoot and are at rest where a pose is held.
    -> channels, flight: of each time the approach to its pose, the height of a flight over its
    chord [m], the share of the way to the pose and the time that takes, and begin and end of the
    flight that this is, or comes before or after [K].
    """
    value, change = poses.T, jnp.diff(poses.T)
    span, kind = jnp.diff(times), approach[1:]
    slope = change / span
    left, right = slope[:, :-1], slope[:, 1:]
    w_left, w_right = span[:-1] + 2 * span[1:], 2 * span[:-1] + span[1:]
    same_sign = left * right > 0
    denominator = jnp.where(same_sign, w_left * right + w_right * left, 1)
    inner = jnp.where(same_sign, (w_left + w_right) * left * right / denominator, 0)
    inner = jnp.pad(inner, ((0, 0), (1, 1)))
    begin, end = inner[:, :-1], inner[:, 1:]
    is_stopping = jnp.abs(end) < 0.1 * jnp.abs(slope)
    is_struck = (kind == HIT) & is_stopping & IS_LIMB[:, None]
    end = jnp.where(is_struck, HIT_SPEED * slope, end)
    rise, fall = slope[ROOT_UP], g * span / 2
    is_flight = kind == FLIGHT
    from_air, to_air = is_flight | (kind == LAND), is_flight | (kind == PUSH)
    landing_slope = jnp.where(is_flight, rise - fall, jnp.roll(rise + fall, -1))
    take_off_slope = jnp.where(is_flight, rise + fall, jnp.roll(rise - fall, 1))
    begin = begin.at[ROOT_UP].set(jnp.where(from_air, take_off_slope, begin[ROOT_UP]))
    end = end.at[ROOT_UP].set(jnp.where(to_air, landing_slope, end[ROOT_UP]))

    # Accelerations of the cubics, shared where two meet softly, but not with one that hardly moves.
    begin_acc = (6 * slope - 4 * begin - 2 * end) / span
    end_acc = (2 * begin + 4 * end - 6 * slope) / span
    left, right = jnp.abs(left), jnp.abs(right)
    share = jnp.minimum(left, right) / jnp.maximum(jnp.maximum(left, right), 1e-9)
    shared_acc = jnp.pad(share * (end_acc[:, :-1] + begin_acc[:, 1:]) / 2, ((0, 0), (1, 1)))
    is_root_up = (np.arange(D) == ROOT_UP)[:, None]
    start = jnp.where(is_root_up & from_air, begin_acc, shared_acc[:, :-1])
    finish = jnp.where(is_struck | (is_root_up & to_air), end_acc, shared_acc[:, 1:])

    k = jnp.clip(jnp.searchsorted(times, grid, side="right") - 1, 0, span.shape[0] - 1)
    ends = jnp.stack(
        [value[:, :-1], begin * span, start * span**2, change, end * span, finish * span**2]
    )
    p, v, a, gap, u, b = ends[:, :, k]
    w = jnp.clip((grid - times[k]) / span[k], 0, 1)
    c3 = 10 * gap - 6 * v - 4 * u - 1.5 * a + 0.5 * b
    c4 = -15 * gap + 8 * v + 7 * u + 1.5 * a - b
    c5 = 6 * gap - 3 * v - 3 * u - 0.5 * a + 0.5 * b
    channels = p + w * (v + w * (a / 2 + w * (c3 + w * (c4 + w * c5))))
    kind_now = kind[k]
    above = jnp.where(kind_now == FLIGHT, G / 2 * span[k] ** 2 * w * (1 - w), 0)
    flight_number = k + (kind_now == PUSH) - (kind_now == LAND)
    return channels, (kind_now, above, w, span[k], times[flight_number], times[flight_number + 1])


def _sway(key, grid):
    """What never rests, of every channel [D, K]: slow sines and the breath."""
    phase, rate, size = jax.random.uniform(key, (3, D, SWAY_WAVES), jnp.float32)
    hertz = 0.1 * 10**rate
    # Slower sines are larger; the mean square of all is 1.
    size = (0.5 + size) / hertz
    size = size * jnp.sqrt(2 / (size**2).sum(1, keepdims=True))
    wave = jnp.sin(2 * jnp.pi * (hertz[..., None] * grid + phase[..., None]))
    sway = (size[..., None] * wave).sum(1)
    breath = jnp.sin(2 * jnp.pi * ((0.2 + 0.1 * phase[0, 0]) * grid + rate[0, 0]))
    return SWAY_SD[:, None] * sway + BREATH[:, None] * breath


SIDE = np.array([[-1.0], [1.0]], np.float32)  # right, left


def _body_tracks(body: Body, channels, flight):
    """Channels [D, K] as this body's tracks, and the feet's heights [2, K] m."""

    def get(name):
        part = channels[CHANNELS[name]]
        return part if name in MIDLINE else part.reshape(2, PAIRED[name][0], -1)

    thigh, shank = leg_lengths(body)
    scale = thigh + shank
    pelvis, trunk = euler_matrix(get("pelvis")), euler_matrix(get("trunk"))
    foot, kneel = get("foot"), get("kneel")[0]
    lift = foot[:, 2] * scale
    height = lift + flight[1]
    roll = jnp.stack([-SIDE * foot[:, 5], foot[:, 3], SIDE * foot[:, 4]], 1)
    along, up = roll_ankle(sole_shape(body), foot[:, 3])
    east, north = foot[:, 0] * scale, SIDE * foot[:, 1] * scale
    flat_ankle = jnp.stack(
        [east + along * jnp.cos(roll[:, 2]), north + along * jnp.sin(roll[:, 2]), up + height]
    )
    knee = jnp.stack([east + shank, north, KNEE_HEIGHT * scale + lift])  # on hands and knees

    hips = jnp.stack([body.joint[PAIR["thigh"]], body.joint[PAIR["thigh"] + 1]], 1)
    hips = matvec(pelvis[:, :, None], hips[:, :, None])  # [3, 2, K], from the pelvis
    root = get("root") * scale
    root = root.at[2].add(roll_ankle(sole_shape(body), jnp.zeros_like(root[2]))[1])
    root = root.at[2].set(_pelvis_height(root, hips, flat_ankle, knee, lift, kneel, thigh, scale))
    hip = root[:, None] + hips
    down = knee - hip
    knee = hip + down * (thigh / jnp.sqrt(dot(down, down)))
    # Of a kneeling leg the ankle is as high as the knee, or higher where ball or toes are under it.
    pitch = foot[:, 3]
    toes = (body.toe - body.ball)[0, 0] * jnp.sin(pitch - toe_extension(pitch))
    ball = body.ball[0, 0] * jnp.sin(pitch) - body.ball[0, 2] * jnp.cos(pitch)
    lowest = ball + jnp.maximum(toes, 0)
    rise = 0.01 * jax.nn.softplus((lowest - KNEE_HEIGHT * scale) / 0.01)
    shank_way = jnp.stack([-jnp.sqrt(shank**2 - rise**2), jnp.zeros_like(rise), rise])
    ankle = flat_ankle + kneel * (knee + shank_way - flat_ankle)

    # The knee lies in the half plane of this direction; the axis is across it, and where the
    # pelvis' x and y span it, there `leg` is measured.
    out = get("open")[:, 0]
    knee_way = jnp.stack([jnp.cos(out), SIDE * jnp.sin(out), 0.25 * jnp.ones_like(out)])
    knee_way = knee_way + kneel * ((knee - hip) / thigh - knee_way)
    frame = jnp.swapaxes(pelvis, 0, 1)[:, :, None]
    along = matvec(frame, ankle - hip)
    axis = matvec(frame, cross(knee_way, ankle - hip))
    axis = axis - along * (axis[2] / along[2])
    knee_turn = jnp.arctan2(-axis[0], axis[1])

    girdle, is_held = get("girdle"), get("held")
    free_arm = jnp.concatenate([get("arm"), get("elbow")[:, :1]], 1)
    waist = root + matvec(pelvis, body.joint[1])
    reaching_arm, palm = _reach_with_arms(
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
    arm = free_arm + is_held * (reaching_arm - free_arm)
    hand = get("hand")
    curl = hand[:, 0] + get("world") * is_held[:, 0] * (palm - hand[:, 0])
    bend = MIN_ELBOW + 2 * DEGREE * jax.nn.softplus((arm[:, 3] - MIN_ELBOW) / (2 * DEGREE))
    return Tracks(
        root=root,
        pelvis=get("pelvis"),
        trunk=get("trunk"),
        head=get("head"),
        ankle=jnp.moveaxis(ankle, 1, 0),
        foot=roll,
        leg=knee_turn,
        girdle=girdle,
        arm=arm[:, :3],
        elbow=jnp.stack([bend, get("elbow")[:, 1]], 1),
        hand=jnp.stack([curl, hand[:, 1]], 1),
    ), height


def _pelvis_height(root, hips, flat, knee, lift, kneel, thigh, scale):
    """Height [K] of the pelvis: as given, but in reach of both feet, or carried by the knees."""
    hip = root[:, None] + hips
    aside = (hip[0] - flat[0]) ** 2 + (hip[1] - flat[1]) ** 2
    top = flat[2] + jnp.sqrt(jnp.maximum((STRAIGHT_LEG * scale) ** 2 - aside, 1e-4)) - hips[2]
    soft = SOFT_LEG * scale
    reach = root[2]
    for side in (0, 1):
        reach = reach - soft * jax.nn.softplus((reach - top[side] - 9 * kneel) / soft)
    aside = (hip[0] - knee[0]) ** 2 + (hip[1] - knee[1]) ** 2
    knee_top = KNEE_HEIGHT * scale + jnp.sqrt(jnp.maximum(thigh**2 - aside, 1e-2)) - hips[2]
    carries = jnp.exp(-((lift / 0.01) ** 2)) + 1e-3
    return reach + kneel * ((carries * knee_top).sum(0) / carries.sum(0) - reach)


def _reach_with_arms(body: Body, trunk, waist, girdle, reach, world, swivel, pronation, scale):
    """The arms [2, 4, K] (flexion, abduction, inward turn, elbow) that bring the wrists to `reach`,
    and the hands' flexion [2, K] that lays them flat on the floor."""
    upper, forearm = -body.joint[PAIR["forearm"], 2], -body.joint[PAIR["hand"], 2]
    length = upper + forearm
    joints = [
        jnp.stack([body.joint[PAIR[name] + s] for s in (0, 1)], 1)[:, :, None]
        for name in ("shoulder", "upper_arm")
    ]
    girdle_turn = jnp.stack([SIDE * girdle[:, 0], 0 * girdle[:, 0], -SIDE * girdle[:, 1]])
    # [3, 2, K] in the trunk's frame.
    shoulder = joints[0] + matvec(euler_matrix(girdle_turn), joints[1])
    goal = jnp.stack([reach[:, 0], SIDE * reach[:, 1], reach[:, 2]])
    chest = (joints[0] + joints[1])[2, 0] * jnp.array([0.0, 0.0, 1.0])[:, None, None]
    to_trunk = jnp.swapaxes(trunk, 0, 1)[:, :, None]
    wrist = chest + goal * length
    wrist = wrist + world * (matvec(to_trunk, goal * scale - waist[:, None]) - wrist)
    direction = wrist - shoulder
    distance = jnp.sqrt(dot(direction, direction))
    direction = direction / distance
    shortest, longest = (share * length for share in WRIST_REACH)
    distance = shortest + 0.01 * jax.nn.softplus((distance - shortest) / 0.01)
    distance = longest - 0.01 * jax.nn.softplus((longest - distance) / 0.01)
    # The elbow lies below and somewhat behind a low hand, before a high one.
    elbow_way = jnp.stack([0.35 * direction[2], SIDE * jnp.sin(swivel), -jnp.cos(swivel)])
    elbow_way = elbow_way - dot(elbow_way, direction) * direction
    elbow_way = elbow_way / jnp.sqrt(dot(elbow_way, elbow_way))
    cos_shoulder = (distance**2 + upper**2 - forearm**2) / (2 * distance * upper)
    upper_axis = cos_shoulder * direction + jnp.sqrt(1 - cos_shoulder**2) * elbow_way
    fore_axis = (distance * direction - upper * upper_axis) / forearm
    cosine = dot(fore_axis, upper_axis)
    x = fore_axis - cosine * upper_axis
    sine = jnp.sqrt(dot(x, x))
    x, z = x / sine, -upper_axis
    y = cross(z, x)
    flexion = (-jnp.arctan2(z[0], z[2]) - FLEXION_CUT) % (2 * jnp.pi) + FLEXION_CUT
    abduction = -SIDE * jnp.arcsin(z[1])
    inward = -SIDE * jnp.arctan2(x[1], y[1])
    angles = jnp.stack([flexion, abduction, inward, jnp.arctan2(sine, cosine)], 1)
    # The hand turns about its x axis, from the forearm's -z to its y; the floor is across.
    ahead = cosine * x + sine * z
    palm = SIDE * jnp.sin(pronation) * ahead + jnp.cos(pronation) * y
    level, upright = (dot(trunk[2][:, None], v) for v in (palm, -fore_axis))
    return angles, -SIDE * jnp.arctan2(SIDE * upright, SIDE * level)


def _fall_freely(body: Body, tracks: Tracks, flight, grid) -> Tracks:
    """In a flight nothing but the weight pulls at the centre of mass: what the limbs do to it, the
    pelvis does the other way, and before and after it is led over to that speed.  The feet keep
    their height under the pelvis; the blow of their landing stays.
    """
    kind, above, share, span, begin, end = flight
    position, rotation = skeleton.place_segments(body, tracks, root_is_com=False)
    centres = position + matvec(jnp.moveaxis(rotation, 0, 2), body.com.T[:, :, None]).swapaxes(0, 1)
    centre = (body.segment_mass[:, None, None] * centres).sum(0) / body.mass  # [3, K]

    def centre_at(time):
        return jnp.stack([jnp.interp(time, grid, c) for c in centre])

    up = jnp.array([0.0, 0.0, 1.0])[:, None]
    take_off, touch_down = centre_at(begin), centre_at(end)
    mean, gain = (touch_down - take_off) / (end - begin), up * G / 2 * (end - begin)
    ballistic = take_off + share * (touch_down - take_off) + up * above
    # Speeds the pelvis still lacks at the beginning of the flight, and has too much at its end.
    lack = mean + gain - (take_off - centre_at(begin - KNOT_STEP)) / KNOT_STEP
    excess = (centre_at(end + KNOT_STEP) - touch_down) / KNOT_STEP - (mean - gain)
    to_go = 1 - share
    offset = jnp.select(
        [kind == FLIGHT, kind == PUSH, kind == LAND],
        [
            centre - ballistic,
            lack * span * share**2 * to_go,
            (1 - up) * excess * span * share * to_go**2,
        ],
        0.0,
    )
    ankle = tracks.ankle - jnp.where(kind == FLIGHT, offset, 0) * up
    return tracks._replace(root=tracks.root - offset, ankle=ankle)
