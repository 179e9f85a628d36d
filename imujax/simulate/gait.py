"""Walking and running, forces first.

The force of every contact is chosen; their sum less the weight moves the centre of mass; the feet
are put down where the moment about it is zero on average; the pelvis follows (skeleton.py).  A
sequence of contacts never repeats: step times, force shapes, foot pitch and states at heel strike
vary from step to step, and each contact's force is corrected so that the next state is reached.

Letters: N contacts, k one of them, right (even) and left (odd) in turn; J harmonics of a force over
its stance; H harmonics of an angle over the stride; T times.  Time is the last axis.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from imujax.data.recordings import G
from imujax.simulate import feet, skeleton
from imujax.simulate.body import Body
from imujax.simulate.curves import (
    fourier_series,
    impulses,
    pulse_impulses,
    smooth_step,
    sole_shape,
    spline,
)
from imujax.simulate.skeleton import Kinematics, Tracks
from imujax.simulate.way import Way, heading, turned

LOOK_AHEAD = 0.2  # s that the head is ahead in a turn (Grasso et al. 1996, NeuroReport 7:1170)
LOOSE_SHARE = 0.25  # share of a stance or a swing that a leg takes to be held as such
TRUNK_STEP = 0.04  # s between the coefficients of the trunk's correction
PRESSURE_STEP = 0.05  # s between those of the centre of pressure
SAG_SD = 0.4  # s, SD of the bump by which the centre of mass goes lower about a contact


class Style(NamedTuple):
    """How one person goes at one speed; calibrated shapes in parts of body weight, m and rad.

    Attributes
    ----------
    step : jax.Array, []
        Step time, s.
    stance : jax.Array, []
        Share of the stride.
    force : jax.Array, [3, J]
        Harmonics sin(n pi s) of the force in parts of body weight, forwards, towards the body's
        middle, and up.
    pulse : jax.Array, [3]
        The lower limb's share of the mass, its speed lost at contact, m/s, and the time that takes,
        s.
    pitch : jax.Array, [1 + 2H]
        The foot's pitch over its stride (mean, cosines, sines), rad.
    swing : jax.Array, [2, 8]
        Bumps of the ankle's path forwards and up, m.
    height : jax.Array, []
        Of the centre of mass at heel strike, m.
    pressure : jax.Array, [3]
        Where the centre of pressure begins and ends (shares of heel to ball), and its bend.
    toes : jax.Array, []
        Turned out, rad.
    inversion : jax.Array, [1 + 2H]
        The foot's list over its stride, its inner edge up, rad.
    twist : jax.Array, [2, 4]
        Bumps of the swinging foot's list, inner edge up, and of its turn, toes out, rad.
    knee : jax.Array, [1 + 2H]
        The turn of the knee's axis over the foot's stride, inwards, rad.
    shank : jax.Array, [1 + 2H]
        The same of the shank's turn from it.
    pelvis, trunk, head, arm : jax.Array, [3, 1 + 2H]
        Angles over the right stride (the left arm half a stride later), each with harmonics of its
        own number, rad.
    elbow : jax.Array, [1 + 2H]
        The same of the elbow's flexion.
    """

    step: jax.Array
    stance: jax.Array
    force: jax.Array
    pulse: jax.Array
    pitch: jax.Array
    swing: jax.Array
    height: jax.Array
    pressure: jax.Array
    toes: jax.Array
    inversion: jax.Array
    twist: jax.Array
    knee: jax.Array
    shank: jax.Array
    pelvis: jax.Array
    trunk: jax.Array
    head: jax.Array
    arm: jax.Array
    elbow: jax.Array


class Noise(NamedTuple):
    """Step-to-step variation, one value a contact [N], standard normal unless said otherwise.

    step, stance, pulse, limb, pitch, toes [N]; force [3, J, N]; place, speed [3, N]; inversion
    [N]; twist [2, N].
    """

    step: jax.Array
    stance: jax.Array
    pulse: jax.Array
    limb: jax.Array
    pitch: jax.Array
    toes: jax.Array
    force: jax.Array
    place: jax.Array
    speed: jax.Array
    inversion: jax.Array
    twist: jax.Array


def random_noise(
    key: jax.Array, contacts: int, harmonics: int, share: float | jax.Array = 1.0
) -> Noise:
    """Variation that carries over from contact to contact (autoregressive, .5); share scales it."""
    shapes = (  # of Noise
        *[(contacts,)] * 6,
        (3, harmonics, contacts),
        *[(3, contacts)] * 2,
        (contacts,),
        (2, contacts),
    )
    keys = jax.random.split(key, len(shapes))

    def correlated(key, shape):
        white = jax.random.normal(key, shape)
        previous = jnp.concatenate([white[..., :1], white[..., :-1]], -1)
        return share * (0.894 * white + 0.447 * previous)

    return Noise(*(correlated(k, shape) for k, shape in zip(keys, shapes, strict=True)))


# Standard deviations from step to step.
STEP_SD: dict[str, Any] = {
    "step": 0.012,  # of the step time
    "stance": 0.012,  # of the stance time
    "pulse": 0.10,  # of the speed lost at contact
    "limb": 0.12,  # of the mass that is stopped there
    "pitch": 0.02,  # of the foot's pitch
    "toes": 0.02,  # rad
    "force": 0.05,  # BW over its number, of each harmonic; the first two give way to what follows
    "place": (0.004, 0.004, 0.001),  # m, of the centre of mass at heel strike
    "speed": (0.015, 0.010, 0.010),  # m/s, the same
    "inversion": 0.012,  # rad, of the foot's list
    "twist": 0.04,  # rad, of the first bump of the swinging foot's list and turn
}


class Walk(NamedTuple):
    """A sequence of N contacts, everything that `tracks` and `balance.loads` need.

    Attributes
    ----------
    style, way
        The walk's Style and Way.
    strike, stance : jax.Array, [N]
        Time of the strike, duration of the stance, s.
    pulse : jax.Array, [N]
        Speed lost at contact, m/s.
    yaw : jax.Array, [N]
        Of the foot, rad.
    pitch : jax.Array, [N]
        Scale of the foot's pitch.
    inversion : jax.Array, [N]
        Added to the foot's list, inner edge up, rad.
    twist : jax.Array, [2, N]
        Added to the first bumps of its list and turn in swing, rad.
    rate : jax.Array, [N]
        Of the stride's phase at the strike, 1/s.
    next_strike : jax.Array, [N]
        Time of the same foot's next strike, s.
    force : jax.Array, [3, J, N]
        Harmonics, parts of body weight.
    impact : jax.Array, [N]
        Height of the pulse at contact, parts of body weight.
    place, speed : jax.Array, [3, N]
        Of the centre of mass at each strike, m and m/s.
    foothold : jax.Array, [3, N]
        The ankle over the flat foot, less its height, m.
    ankle_at_toe_off, ankle_at_strike : jax.Array, [3, 3, N]
        The ankle's place, speed and acceleration at toe-off and at the foot's next strike.
    begin : jax.Array, []
        From here on the walk may be looked at, s.
    trunk_correction : jax.Array, [3, K]
        Spline coefficients from `begin` on, every TRUNK_STEP s, of what is added to the trunk's
        angles.
    pressure_correction : jax.Array, [3, K2]
        The same, every PRESSURE_STEP s, of what is added to the centre of pressure (along, across,
        m) and of the free moment (parts of weight times height).
    """

    style: Style
    way: Way
    strike: jax.Array
    stance: jax.Array
    pulse: jax.Array
    yaw: jax.Array
    pitch: jax.Array
    inversion: jax.Array
    twist: jax.Array
    rate: jax.Array
    next_strike: jax.Array
    force: jax.Array
    impact: jax.Array
    place: jax.Array
    speed: jax.Array
    foothold: jax.Array
    ankle_at_toe_off: jax.Array
    ankle_at_strike: jax.Array
    begin: jax.Array
    trunk_correction: jax.Array
    pressure_correction: jax.Array


def lay_contacts(
    body: Body,
    style: Style,
    way: Way,
    speed: jax.Array,
    noise: Noise,
    seconds: float,
    lowering: jax.Array | None = None,
) -> Walk:
    """Lay out N contacts; the first and last three serve as neighbours only.

    Parameters
    ----------
    body : Body
        One person.
    style : Style
        How this person goes at this speed.
    way : Way
        What is walked on, and where it bends.
    speed : jax.Array, []
        m/s.
    noise : Noise
        Variation of the N contacts.
    seconds : float
        Of the walk from `begin` on that will be looked at; N contacts must last as long.
    lowering : jax.Array, [N], optional
        How much lower the centre of mass goes about each contact, m; what its neighbours ask for
        adds to it (`sag`).

    Returns
    -------
    Walk
        Its corrections of trunk and centre of pressure are zero.
    """
    count = noise.step.shape[0]
    side = jnp.where(jnp.arange(count) % 2 == 0, 1.0, -1.0)  # the middle is to the left of a right
    asymmetry = jnp.where(side > 0, body.asymmetry[0], body.asymmetry[1])
    step = style.step * asymmetry * (1 + STEP_SD["step"] * noise.step)
    strike = jnp.cumsum(step) - step
    stance = 2 * style.step * style.stance * asymmetry * (1 + STEP_SD["stance"] * noise.stance)
    speed_lost = style.pulse[1] * (1 + STEP_SD["pulse"] * noise.pulse)
    limb_mass = style.pulse[0] * (1 + STEP_SD["limb"] * noise.limb)
    impact = limb_mass * 2 * speed_lost / (style.pulse[2] * G)  # BW
    harmonics = style.force.shape[1]
    falloff = 1 / jnp.arange(1, harmonics + 1)
    force = style.force[:, :, None] + STEP_SD["force"] * falloff[:, None] * noise.force
    force = jnp.stack([force[0], side * force[1], force[2]])
    force = _balance_forces(force, impact, style.pulse[2], step, stance)
    ahead = heading(way, strike, strike + stance / 2)
    force = turned(force, ahead)
    lowering = jnp.zeros(count) if lowering is None else lowering
    lowered = skeleton.derivatives(lambda time: sag(strike, lowering, time), strike)[:2]
    place, velocity, force = _strike_states(
        style, way, speed, force, impact, strike, step, stance, side, noise, lowered
    )
    next_strike = jnp.concatenate([strike[2:], strike[-2:] + 2 * style.step])
    stride = next_strike - strike
    rate = 0.5 * (1 / stride + 1 / jnp.concatenate([stride[:2], stride[:-2]]))
    walk = Walk(
        style=style,
        way=way,
        strike=strike,
        stance=stance,
        pulse=speed_lost,
        yaw=ahead - side * (style.toes + STEP_SD["toes"] * noise.toes),
        pitch=1 + STEP_SD["pitch"] * noise.pitch,
        inversion=STEP_SD["inversion"] * noise.inversion,
        twist=STEP_SD["twist"] * noise.twist,
        rate=rate,
        next_strike=next_strike,
        force=force,
        impact=impact,
        place=place,
        speed=velocity,
        foothold=jnp.zeros((3, count)),
        ankle_at_toe_off=jnp.zeros((3, 3, count)),
        ankle_at_strike=jnp.zeros((3, 3, count)),
        begin=strike[3],
        trunk_correction=jnp.zeros((3, int(seconds / TRUNK_STEP) + 6)),
        pressure_correction=jnp.zeros((3, int(seconds / PRESSURE_STEP) + 6)),
    )
    walk = walk._replace(foothold=_footholds(body, walk))
    number = jnp.arange(count)
    following = jnp.minimum(number + 2, count - 1)
    return walk._replace(
        ankle_at_toe_off=feet.stance_state(body, walk, number, strike + stance),
        ankle_at_strike=feet.stance_state(body, walk, following, strike[following]),
    )


def _balance_forces(force, impact, span, step, stance):
    """Scale the vertical force to one body weight over a step, shift fore-aft to nothing."""
    impulse, _ = impulses(stance, force.shape[1], stance)  # [J, N]
    up_scale = (step - impact * span / 2) / (force[2] * impulse).sum(0)
    ahead_shift = -(force[0] * impulse).sum(0) / impulse[0]
    return jnp.stack([force[0].at[0].add(ahead_shift), force[1], force[2] * up_scale])


def sag(strike: jax.Array, lowering: jax.Array, t: jax.Array) -> jax.Array:
    """How much lower the centre of mass goes at t [T], m: a bump of SAG_SD for every contact."""
    return (lowering * jnp.exp(-(((t[:, None] - strike) / SAG_SD) ** 2) / 2)).sum(1)


def _strike_states(style, way, speed, force, impact, strike, step, stance, side, noise, lowered):
    """Centre of mass at each strike, and the force corrected so that it gets there.

    Of each contact's force the first two harmonics are changed so that the centre of mass has, at
    the next strike, the place and speed of the steady gait, varied by the noise and lower by
    `lowered` (m, m/s).
    -> place, speed [3, N], force [3, J, N].
    """
    harmonics = force.shape[1]
    in_step1, in_step2 = impulses(stance, harmonics, step)  # [J, N]
    next_step = jnp.concatenate([step[1:], step[-1:]])
    total1, total2 = impulses(stance, harmonics, step + next_step)
    tail1, tail2 = total1 - in_step1, total2 - in_step2 - in_step1 * next_step
    impact1, impact2 = (impact * x for x in pulse_impulses(style.pulse[2], step))

    # The steady gait: what one unvaried contact and the one before it do in a step.
    t, s = style.step, 2 * style.step * style.stance
    steady_force = _balance_forces(
        style.force[:, :, None], jnp.mean(impact)[None], style.pulse[2], t[None], s[None]
    )[:, :, 0]
    (o1, o2), (w1, w2) = (impulses(s, harmonics, x) for x in (t, 2 * t))
    e1, e2 = w1 - o1, w2 - o2 - o1 * t
    drop = G * (steady_force[2] @ (o2 + e2) + jnp.mean(impact2)) - 0.5 * G * t * t
    ahead = G * steady_force[0] @ (o2 + e2)
    push = G * steady_force[1] @ (o1 - e1)
    drift = G * steady_force[1] @ (o2 - e2)
    sway = -push / 2  # speed to the left at a right strike
    lateral = -(sway * t + drift) / 2
    varied = [jnp.array(STEP_SD[n])[:, None] * getattr(noise, n) for n in ("place", "speed")]
    speeds = speed * (jnp.ones_like(strike) if way.pace is None else way.pace)
    path = _path(way, strike, step, speeds)
    steady_speed = jnp.stack([speeds - ahead / t, sway * side, speeds * way.rise - drop / t])
    steady_place = jnp.stack([0 * side, lateral * side, style.height + way.rise * path[0]])
    now = heading(way, strike, strike)
    place = (path + turned(steady_place + varied[0], now)).at[2].add(-lowered[0])
    velocity = turned(steady_speed + varied[1], now).at[2].add(-lowered[1])

    def reach_next(carry, inputs):
        carried, p, v = carry  # carried: [2, 3] impulse and path of the last contact's tail
        f, span, target_p, target_v, o, tail, h = inputs
        speed_gain = G * (f @ o[0] + carried[0]) + h[0]
        path_gain = G * (f @ o[1] + carried[1]) + h[1] + v * span
        shortfall = jnp.stack([target_v - v - speed_gain, target_p - p - path_gain])  # [2, 3]
        a, b, c, d = o[0, 0], o[0, 1], o[1, 0], o[1, 1]
        det = (a * d - b * c) * G
        first, second = d * shortfall[0] - b * shortfall[1], a * shortfall[1] - c * shortfall[0]
        change = jnp.stack([first, second]) / det
        f = f.at[:, :2].add(change.T)
        return (jnp.stack([f @ tail[0], f @ tail[1]]), target_p, target_v), (f, p, v)

    up_axis = jnp.array([0.0, 0.0, 1.0])
    extra = jnp.stack([(impact1 - step) * G, (impact2 - 0.5 * step**2) * G])  # [2, N], upwards
    mirrored = steady_force * jnp.array([1.0, -1.0, 1.0])[:, None]
    start = (jnp.stack([mirrored @ e1, mirrored @ e2]), place[:, 0], velocity[:, 0])

    def next_values(x):
        return jnp.concatenate([x[:, 1:], 2 * x[:, -1:] - x[:, -2:-1]], 1).T

    inputs = (
        jnp.moveaxis(force, 2, 0),
        step,
        next_values(place),
        next_values(velocity),
        jnp.moveaxis(jnp.stack([in_step1, in_step2]), 2, 0),
        jnp.moveaxis(jnp.stack([tail1, tail2]), 2, 0),
        extra.T[:, :, None] * up_axis,
    )
    _, (force, place, velocity) = jax.lax.scan(reach_next, start, inputs)
    return place.T, velocity.T, jnp.moveaxis(force, 0, 2)


def _path(way, strike, step, speeds):
    """Where the middle of the body comes to on the level at each strike [3, N], m."""
    along = step[:-1] * (speeds[:-1] + speeds[1:]) / 2
    ahead = jnp.stack([along, jnp.zeros_like(along), jnp.zeros_like(along)])
    steps = turned(ahead, heading(way, strike, strike + step / 2)[:-1])
    return jnp.cumsum(jnp.pad(steps, ((0, 0), (1, 0))), 1)


def last_contact(walk: Walk, t: jax.Array) -> jax.Array:
    """Number of the last heel strike at or before t [T] -> int [T]."""
    return jnp.searchsorted(walk.strike, t, side="right") - 1


def centre_of_mass(walk: Walk, t: jax.Array) -> jax.Array:
    """The centre of mass [3, T]: its second derivative is that of the contact forces."""
    k = last_contact(walk, t)
    harmonics = walk.force.shape[1]
    since = t - walk.strike[k]
    _, in_progress = impulses(walk.stance[k], harmonics, since)
    gap = walk.strike[k] - walk.strike[k - 1]
    stance = walk.stance[k - 1]
    before1, before2 = impulses(stance, harmonics, gap)
    _, total = impulses(stance, harmonics, gap + since)
    path = (walk.force[:, :, k] * in_progress).sum(1)
    path = path + (walk.force[:, :, k - 1] * (total - before2 - before1 * since)).sum(1)
    _, knock = pulse_impulses(walk.style.pulse[2], since)
    up = walk.impact[k] * knock - 0.5 * since**2
    path = jnp.stack([path[0], path[1], path[2] + up])
    return walk.place[:, k] + walk.speed[:, k] * since + G * path


def foot_contacts(walk: Walk, t: jax.Array) -> jax.Array:
    """The last contact of each foot at or before t [T] -> int [2, T] (right, left)."""
    k = last_contact(walk, t)
    odd = k % 2
    return jnp.stack([k - odd, k - 1 + odd])


def _contact_force(walk: Walk, k: jax.Array, since: jax.Array) -> jax.Array:
    """Force [3, ...] of contact k, in parts of body weight, `since` [...] s after its strike."""
    share = jnp.clip(since / walk.stance[k], 0, 1)
    n = jnp.arange(1, walk.force.shape[1] + 1).reshape(-1, *([1] * since.ndim)) * jnp.pi
    force = (walk.force[:, :, k] * jnp.sin(n * share)).sum(1)
    force = jnp.where(share < 1, force, 0)  # sin(n pi) is not quite nothing
    span = walk.style.pulse[2]
    knock = walk.impact[k] * (1 - jnp.cos(2 * jnp.pi * jnp.clip(since / span, 0, 1))) / 2
    return force.at[2].add(jnp.where(since < span, knock, 0))


def ground_force(walk: Walk, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Force on each foot in parts of body weight [2, 3, T], share of its stance [2, T] (0 to 1)."""
    k = foot_contacts(walk, t)
    since = t - walk.strike[k]
    force = jnp.moveaxis(_contact_force(walk, k, since), 0, 1)
    return force, jnp.clip(since / walk.stance[k], 0, 1)


def pressure_ahead(body: Body, walk: Walk, share: jax.Array) -> jax.Array:
    """Nominal centre of pressure [m] forwards of the ankle over the flat foot."""
    begin, end, bend = walk.style.pressure
    sole = sole_shape(body)
    progress = begin + (end - begin) * (share + bend * share * (1 - share) * (1 - 2 * share))
    return sole.heel + progress * (sole.ball - sole.heel)


def _footholds(body: Body, walk: Walk, points: int = 32) -> jax.Array:
    """Where each foot is put down [3, N], so that its moment about the centre of mass has no mean.

    Over a stance the mean of (p - c) x F is nothing about the two horizontal axes.
    """
    share = (jnp.arange(points) + 0.5) / points
    since = share[:, None] * walk.stance  # [P, N]
    times = walk.strike + since
    centre = centre_of_mass(walk, times.reshape(-1)).reshape(3, points, -1)
    numbers = jnp.broadcast_to(jnp.arange(since.shape[1]), since.shape)
    force = _contact_force(walk, numbers, since)
    weight = force[2] / force[2].sum(0)
    ahead = pressure_ahead(body, walk, share)[:, None]
    x = (weight * (centre[0] - ahead * jnp.cos(walk.yaw))).sum(0)
    y = (weight * (centre[1] - ahead * jnp.sin(walk.yaw))).sum(0)
    above = centre[2] - walk.way.rise * x
    x = x - (above * force[0]).sum(0) / force[2].sum(0)
    y = y - (above * force[1]).sum(0) / force[2].sum(0)
    return jnp.stack([x, y, walk.way.rise * x])


def tracks(body: Body, walk: Walk, t: jax.Array) -> Tracks:
    """What the gait prescribes at t [T], from `begin` on, up to the third contact from the end."""
    k = foot_contacts(walk, t)
    stands = t < walk.strike[k] + walk.stance[k]
    ankle = jnp.where(stands, feet.stance_ankle(body, walk, k, t), feet.swing_ankle(walk, k, t))
    following = jnp.minimum(k + 2, walk.strike.shape[0] - 1)
    w = feet.swing_share(walk, k, t)
    share = (t - walk.strike[k]) / walk.stance[k]
    loosening = smooth_step(jnp.clip(w / LOOSE_SHARE, 0, 1))
    yaw = walk.yaw[k] + (walk.yaw[following] - walk.yaw[k]) * smooth_step(w)
    style, turns = walk.style, feet.stride_phase(walk, k[0], t)
    knee, shank = (
        feet.inner_side(k) * feet.stride_series(walk, c, k, t) for c in (style.knee, style.shank)
    )
    arm = jnp.stack([fourier_series(style.arm, turns), fourier_series(style.arm, turns + 0.5)])
    elbow = jnp.stack(
        [fourier_series(style.elbow, turns), fourier_series(style.elbow, turns + 0.5)]
    )
    zero = jnp.zeros_like(elbow)
    now, soon = (heading(walk.way, walk.strike, time) for time in (t, t + LOOK_AHEAD))
    return Tracks(
        root=centre_of_mass(walk, t),
        pelvis=fourier_series(style.pelvis, turns).at[2].add(now),
        trunk=(
            fourier_series(style.trunk, turns)
            + spline(walk.trunk_correction, (t - walk.begin) / TRUNK_STEP)
        )
        .at[2]
        .add(now),
        head=fourier_series(style.head, turns).at[2].add(soon),
        ankle=jnp.moveaxis(ankle, 1, 0),
        foot=jnp.moveaxis(feet.foot_angles(walk, k, t), 1, 0),
        leg=yaw - now + knee,
        girdle=jnp.stack([zero, zero], 1),
        arm=arm,
        elbow=jnp.stack([elbow, zero], 1),
        hand=jnp.stack([zero, zero], 1),
        loose=jnp.where(stands, 1 - smooth_step(jnp.clip(share / LOOSE_SHARE, 0, 1)), loosening),
        shank=shank,
    )


@jax.jit
def kinematics(body: Body, walk: Walk, t: jax.Array) -> Kinematics:
    """Kinematics of a walk.

    Parameters
    ----------
    body : Body
        One person.
    walk : Walk
        Of this person.
    t : jax.Array, [T]
        Times from `walk.begin` on, up to the third contact from the end, s.

    Returns
    -------
    Kinematics
        Of the 17 segments; the centre of mass moves as the contacts' forces have it.
    """
    return skeleton.kinematics(body, lambda time: tracks(body, walk, time), t, True)
