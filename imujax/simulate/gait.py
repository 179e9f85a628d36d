"""Walking and running, forces first.

The force of every contact is chosen; their sum less the weight moves the centre of mass; the feet
are put down where the moment about it is zero on average; the pelvis follows (skeleton.py).  A
sequence of contacts never repeats: step times, force shapes, foot pitch and states at heel strike
vary from step to step, and each contact's force is corrected so that the next state is reached.

Letters: N contacts, k one of them, right (even) and left (odd) in turn; J harmonics of a force over
its stance; H harmonics of an angle over the stride; T times.  Time is the last axis.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from imujax.data.recordings import G
from imujax.simulate import skeleton
from imujax.simulate.body import Body
from imujax.simulate.curves import impulses, pulse_impulses, rolled, series, smooth, sole, spline
from imujax.simulate.skeleton import Kinematics, Tracks

LOOSE = 0.25  # share of a stance or a swing that a leg takes to be held as such
FIX = 0.04  # s between the coefficients of the trunk's correction
PRESS = 0.05  # s between those of the centre of pressure
SAG = 0.4  # s, SD of the bump by which the centre of mass goes lower about a contact


class Style(NamedTuple):
    """How one person goes at one speed; calibrated shapes in parts of body weight, m and rad.

    step [] s, stance [] (share of the stride), force [3, J]: harmonics sin(n pi s) of the force in
    parts of body weight, forwards, towards the body's middle, and up; pulse [3]: the lower limb's
    share of the mass, its speed lost at contact [m/s] and the time that takes [s]; pitch [1 + 2H]:
    the foot's pitch over its stride (mean, cosines, sines); swing [2, 8]: bumps of the ankle's
    path forwards and up [m]; height [] m: of the centre of mass at heel strike; pressure [3]: where
    the centre of pressure begins and ends (shares of heel to ball), and its bend; toes [] rad:
    turned out; pelvis, trunk, head, arm [3, 1 + 2H], elbow [1 + 2H]: angles over the right stride
    (the left arm half a stride later), each with harmonics of its own number.
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
    pelvis: jax.Array
    trunk: jax.Array
    head: jax.Array
    arm: jax.Array
    elbow: jax.Array


class Ground(NamedTuple):
    """rise []: height gained per metre forwards; tilt [] rad: of the surface (0 on stairs)."""

    rise: jax.Array
    tilt: jax.Array


class Noise(NamedTuple):
    """Step-to-step variation, one value a contact [N], standard normal unless said otherwise.

    step, stance, pulse, limb, pitch, toes [N]; force [3, J, N]; place, speed [3, N].
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


def noise(key: jax.Array, contacts: int, harmonics: int, share: float | jax.Array = 1.0) -> Noise:
    """Variation that carries over from contact to contact (autoregressive, .5); share scales it."""
    shapes = Noise(*[(contacts,)] * 6, (3, harmonics, contacts), *[(3, contacts)] * 2)
    keys = jax.random.split(key, len(shapes))

    def draw(key, shape):
        white = jax.random.normal(key, shape)
        before = jnp.concatenate([white[..., :1], white[..., :-1]], -1)
        return share * (0.894 * white + 0.447 * before)

    return Noise(*(draw(k, shape) for k, shape in zip(keys, shapes, strict=True)))


# Standard deviations from step to step.
VARY = {
    "step": 0.012,  # of the step time
    "stance": 0.012,  # of the stance time
    "pulse": 0.10,  # of the speed lost at contact
    "limb": 0.12,  # of the mass that is stopped there
    "pitch": 0.02,  # of the foot's pitch
    "toes": 0.02,  # rad
    "force": 0.05,  # BW over its number, of each harmonic; the first two give way to what follows
    "place": (0.004, 0.004, 0.001),  # m, of the centre of mass at heel strike
    "speed": (0.015, 0.010, 0.010),  # m/s, the same
}


class Walk(NamedTuple):
    """A sequence of N contacts, everything that `tracks` and `loads` need.

    strike, stance, next (strike of the same foot) s, pulse (speed lost) m/s, yaw rad, pitch
    (scale), rate (of the stride's phase at the strike) 1/s [N]; force [3, J, N] and knock [N] in
    parts of body weight; place, speed [3, N]: of the centre of mass at each strike;
    foot [3, N]: the ankle over the flat foot, less its height; leave, land [3, 3, N]: the ankle's
    place, speed and acceleration at toe-off and at the foot's next strike.  Spline coefficients
    from `begin` [] s on: fix [3, K] of what is added to the trunk's angles, every FIX s; press
    [3, K2] of what is added to the centre of pressure (along, across [m]) and of the free moment
    (parts of weight times height), every PRESS s.
    """

    style: Style
    ground: Ground
    strike: jax.Array
    stance: jax.Array
    pulse: jax.Array
    yaw: jax.Array
    pitch: jax.Array
    rate: jax.Array
    next: jax.Array
    force: jax.Array
    knock: jax.Array
    place: jax.Array
    speed: jax.Array
    foot: jax.Array
    leave: jax.Array
    land: jax.Array
    begin: jax.Array
    fix: jax.Array
    press: jax.Array


def lay(
    body: Body,
    style: Style,
    ground: Ground,
    speed: jax.Array,
    noise: Noise,
    seconds: float,
    low: jax.Array | None = None,
) -> Walk:
    """Lay out N contacts at `speed` [m/s]; the first and last three serve as neighbours only.

    seconds: of the walk from `begin` on that will be looked at; N contacts must last as long.
    low [N] m: how much lower the centre of mass goes about each contact; what its neighbours ask
    for adds to it (`sagging`).
    """
    count = noise.step.shape[0]
    side = jnp.where(jnp.arange(count) % 2 == 0, 1.0, -1.0)  # the middle is to the left of a right
    uneven = jnp.where(side > 0, body.asymmetry[0], body.asymmetry[1])
    step = style.step * uneven * (1 + VARY["step"] * noise.step)
    strike = jnp.cumsum(step) - step
    stance = 2 * style.step * style.stance * uneven * (1 + VARY["stance"] * noise.stance)
    lost = style.pulse[1] * (1 + VARY["pulse"] * noise.pulse)
    limb = style.pulse[0] * (1 + VARY["limb"] * noise.limb)
    knock = limb * 2 * lost / (style.pulse[2] * G)  # BW
    harmonics = style.force.shape[1]
    fall = 1 / jnp.arange(1, harmonics + 1)
    force = style.force[:, :, None] + VARY["force"] * fall[:, None] * noise.force
    force = jnp.stack([force[0], side * force[1], force[2]])
    force = _balanced(force, knock, style.pulse[2], step, stance)
    low = jnp.zeros(count) if low is None else low
    sunk = skeleton.derivatives(lambda time: sagging(strike, low, time), strike)[:2]
    place, velocity, force = _states(
        style, ground, speed, force, knock, step, stance, side, noise, sunk
    )
    same = jnp.concatenate([strike[2:], strike[-2:] + 2 * style.step])
    stride = same - strike
    rate = 0.5 * (1 / stride + 1 / jnp.concatenate([stride[:2], stride[:-2]]))
    walk = Walk(
        style=style,
        ground=ground,
        strike=strike,
        stance=stance,
        pulse=lost,
        yaw=-side * (style.toes + VARY["toes"] * noise.toes),
        pitch=1 + VARY["pitch"] * noise.pitch,
        rate=rate,
        next=same,
        force=force,
        knock=knock,
        place=place,
        speed=velocity,
        foot=jnp.zeros((3, count)),
        leave=jnp.zeros((3, 3, count)),
        land=jnp.zeros((3, 3, count)),
        begin=strike[3],
        fix=jnp.zeros((3, int(seconds / FIX) + 6)),
        press=jnp.zeros((3, int(seconds / PRESS) + 6)),
    )
    walk = walk._replace(foot=_footholds(body, walk))
    here = jnp.arange(count)
    later = jnp.minimum(here + 2, count - 1)
    return walk._replace(
        leave=_stance_state(body, walk, here, strike + stance),
        land=_stance_state(body, walk, later, strike[later]),
    )


def _balanced(force, knock, span, step, stance):
    """Scale the vertical force to one body weight over a step, shift fore-aft to nothing."""
    first, _ = impulses(stance, force.shape[1], stance)  # [J, N]
    up = (step - knock * span / 2) / (force[2] * first).sum(0)
    ahead = -(force[0] * first).sum(0) / first[0]
    return jnp.stack([force[0].at[0].add(ahead), force[1], force[2] * up])


def sagging(strike: jax.Array, low: jax.Array, t: jax.Array) -> jax.Array:
    """How much lower the centre of mass goes at t [T], m: a bump of SAG s for every contact."""
    return (low * jnp.exp(-(((t[:, None] - strike) / SAG) ** 2) / 2)).sum(1)


def _states(style, ground, speed, force, knock, step, stance, side, noise, sunk):
    """Centre of mass at each strike, and the force corrected so that it gets there.

    Of each contact's force the first two harmonics are changed so that the centre of mass has, at
    the next strike, the place and speed of the steady gait, varied by the noise and lower by
    `sunk` (m, m/s).
    -> place, speed [3, N], force [3, J, N].
    """
    harmonics = force.shape[1]
    own1, own2 = impulses(stance, harmonics, step)  # [J, N]
    later = jnp.concatenate([step[1:], step[-1:]])
    whole1, whole2 = impulses(stance, harmonics, step + later)
    tail1, tail2 = whole1 - own1, whole2 - own2 - own1 * later
    hit1, hit2 = (knock * x for x in pulse_impulses(style.pulse[2], step))

    # The steady gait: what one unvaried contact and the one before it do in a step.
    t, s = style.step, 2 * style.step * style.stance
    plain = _balanced(
        style.force[:, :, None], jnp.mean(knock)[None], style.pulse[2], t[None], s[None]
    )[:, :, 0]
    (o1, o2), (w1, w2) = (impulses(s, harmonics, x) for x in (t, 2 * t))
    e1, e2 = w1 - o1, w2 - o2 - o1 * t
    drop = G * (plain[2] @ (o2 + e2) + jnp.mean(hit2)) - 0.5 * G * t * t
    ahead = G * plain[0] @ (o2 + e2)
    push = G * plain[1] @ (o1 - e1)
    over = G * plain[1] @ (o2 - e2)
    sway = -push / 2  # speed to the left at a right strike
    lateral = -(sway * t + over) / 2
    varied = [jnp.array(VARY[n])[:, None] * getattr(noise, n) for n in ("place", "speed")]
    along = jnp.cumsum(jnp.concatenate([jnp.zeros(1), step[:-1] * speed]))
    steady_speed = jnp.stack(
        [speed - ahead / t + 0 * side, sway * side, speed * ground.rise - drop / t + 0 * side]
    )
    steady_place = jnp.stack([along, lateral * side, style.height + ground.rise * along])
    place = (steady_place + varied[0]).at[2].add(-sunk[0])
    velocity = (steady_speed + varied[1]).at[2].add(-sunk[1])

    def go(carry, now):
        before, p, v = carry  # before: [2, 3] impulse and path of the last contact's tail
        f, hit, target_p, target_v, o, tail, h = now
        gained = G * (f @ o[0] + before[0]) + h[0]
        moved = G * (f @ o[1] + before[1]) + h[1] + v * hit
        short = jnp.stack([target_v - v - gained, target_p - p - moved])  # [2, 3]
        a, b, c, d = o[0, 0], o[0, 1], o[1, 0], o[1, 1]
        det = (a * d - b * c) * G
        change = jnp.stack([d * short[0] - b * short[1], a * short[1] - c * short[0]]) / det
        f = f.at[:, :2].add(change.T)
        return (jnp.stack([f @ tail[0], f @ tail[1]]), target_p, target_v), (f, p, v)

    down = jnp.array([0.0, 0.0, 1.0])
    extra = jnp.stack([(hit1 - step) * G, (hit2 - 0.5 * step**2) * G])  # [2, N], upwards
    mirrored = plain * jnp.array([1.0, -1.0, 1.0])[:, None]
    start = (jnp.stack([mirrored @ e1, mirrored @ e2]), place[:, 0], velocity[:, 0])

    def ahead_of(x):
        return jnp.concatenate([x[:, 1:], 2 * x[:, -1:] - x[:, -2:-1]], 1).T

    now = (
        jnp.moveaxis(force, 2, 0),
        step,
        ahead_of(place),
        ahead_of(velocity),
        jnp.moveaxis(jnp.stack([own1, own2]), 2, 0),
        jnp.moveaxis(jnp.stack([tail1, tail2]), 2, 0),
        extra.T[:, :, None] * down,
    )
    _, (force, place, velocity) = jax.lax.scan(go, start, now)
    return place.T, velocity.T, jnp.moveaxis(force, 0, 2)


def contact(walk: Walk, t: jax.Array) -> jax.Array:
    """Number of the last heel strike at or before t [T] -> int [T]."""
    return jnp.searchsorted(walk.strike, t, side="right") - 1


def mass_centre(walk: Walk, t: jax.Array) -> jax.Array:
    """The centre of mass [3, T]: its second derivative is that of the contact forces."""
    k = contact(walk, t)
    harmonics = walk.force.shape[1]
    since = t - walk.strike[k]
    _, own = impulses(walk.stance[k], harmonics, since)
    gap = walk.strike[k] - walk.strike[k - 1]
    stance = walk.stance[k - 1]
    held1, held2 = impulses(stance, harmonics, gap)
    _, whole = impulses(stance, harmonics, gap + since)
    path = (walk.force[:, :, k] * own).sum(1)
    path = path + (walk.force[:, :, k - 1] * (whole - held2 - held1 * since)).sum(1)
    _, hit = pulse_impulses(walk.style.pulse[2], since)
    up = walk.knock[k] * hit - 0.5 * since**2
    path = jnp.stack([path[0], path[1], path[2] + up])
    return walk.place[:, k] + walk.speed[:, k] * since + G * path


def foot_contact(walk: Walk, t: jax.Array) -> jax.Array:
    """The last contact of each foot at or before t [T] -> int [2, T] (right, left)."""
    k = contact(walk, t)
    odd = k % 2
    return jnp.stack([k - odd, k - 1 + odd])


def _force_of(walk: Walk, k: jax.Array, since: jax.Array) -> jax.Array:
    """Force [3, ...] of contact k, in parts of body weight, `since` [...] s after its strike."""
    share = jnp.clip(since / walk.stance[k], 0, 1)
    n = jnp.arange(1, walk.force.shape[1] + 1).reshape(-1, *([1] * since.ndim)) * jnp.pi
    force = (walk.force[:, :, k] * jnp.sin(n * share)).sum(1)
    force = jnp.where(share < 1, force, 0)  # sin(n pi) is not quite nothing
    span = walk.style.pulse[2]
    hit = walk.knock[k] * (1 - jnp.cos(2 * jnp.pi * jnp.clip(since / span, 0, 1))) / 2
    return force.at[2].add(jnp.where(since < span, hit, 0))


def ground_force(walk: Walk, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Force on each foot in parts of body weight [2, 3, T], share of its stance [2, T] (0 to 1)."""
    k = foot_contact(walk, t)
    since = t - walk.strike[k]
    force = jnp.moveaxis(_force_of(walk, k, since), 0, 1)
    return force, jnp.clip(since / walk.stance[k], 0, 1)


def pressure(body: Body, walk: Walk, share: jax.Array) -> jax.Array:
    """Nominal centre of pressure [m] forwards of the ankle over the flat foot."""
    begin, end, bend = walk.style.pressure
    shape = sole(body)
    progress = begin + (end - begin) * (share + bend * share * (1 - share) * (1 - 2 * share))
    return shape.heel + progress * (shape.ball - shape.heel)


def _footholds(body: Body, walk: Walk, points: int = 32) -> jax.Array:
    """Where each foot is put down [3, N], so that its moment about the centre of mass has no mean.

    Over a stance the mean of (p - c) x F is nothing about the two horizontal axes.
    """
    share = (jnp.arange(points) + 0.5) / points
    since = share[:, None] * walk.stance  # [P, N]
    times = walk.strike + since
    centre = mass_centre(walk, times.reshape(-1)).reshape(3, points, -1)
    every = jnp.broadcast_to(jnp.arange(since.shape[1]), since.shape)
    force = _force_of(walk, every, since)
    weight = force[2] / force[2].sum(0)
    ahead = pressure(body, walk, share)[:, None]
    x = (weight * (centre[0] - ahead * jnp.cos(walk.yaw))).sum(0)
    y = (weight * (centre[1] - ahead * jnp.sin(walk.yaw))).sum(0)
    above = centre[2] - walk.ground.rise * x
    x = x - (above * force[0]).sum(0) / force[2].sum(0)
    y = y - (above * force[1]).sum(0) / force[2].sum(0)
    return jnp.stack([x, y, walk.ground.rise * x])


def phase(walk: Walk, k: jax.Array, t: jax.Array) -> jax.Array:
    """Phase of the stride that began with contact k, 0 to 1; smooth from stride to stride."""
    span = walk.next[k] - walk.strike[k]
    u = (t - walk.strike[k]) / span
    after = jnp.minimum(k + 2, walk.strike.shape[0] - 1)
    early, late = (walk.rate[i] * span - 1 for i in (k, after))
    # Quintic: value 0 to 1, the rates at both ends, no second derivative there.
    bend = u * (1 - u) ** 3 * (1 + 3 * u) * early - u**3 * (1 - u) * (4 - 3 * u) * late
    return u + bend


def _pitch(walk: Walk, k: jax.Array, t: jax.Array) -> jax.Array:
    """Pitch of a foot to the ground during the stride that began with contact k."""
    turns = phase(walk, k, t)
    after = jnp.minimum(k + 2, walk.strike.shape[0] - 1)
    share = (t - walk.strike[k]) / (walk.next[k] - walk.strike[k])
    scale = walk.pitch[k] + (walk.pitch[after] - walk.pitch[k]) * smooth(share)
    return scale * series(walk.style.pitch, turns.reshape(-1)).reshape(turns.shape)


def _standing(body: Body, walk: Walk, k: jax.Array, t: jax.Array) -> jax.Array:
    """The ankle in the stance of contact k [3, ...]: rolled over the planted foot."""
    along, up = rolled(sole(body), _pitch(walk, k, t))
    since, span = t - walk.strike[k], walk.style.pulse[2]
    _, path = pulse_impulses(span, since)
    up = up + walk.pulse[k] * (span / 2 - since + 2 / span * path)
    yaw, tilt = walk.yaw[k], walk.ground.tilt
    east, north = jnp.cos(yaw), jnp.sin(yaw)
    ahead = along * jnp.cos(tilt) - up * jnp.sin(tilt)
    path = jnp.stack([ahead * east, ahead * north, along * jnp.sin(tilt) + up * jnp.cos(tilt)])
    return walk.foot[:, k] + path


def _stance_state(body: Body, walk: Walk, k: jax.Array, t: jax.Array) -> jax.Array:
    """Place, speed and acceleration [3, 3, N] of the ankle in the stance of contact k at t."""

    return jnp.stack(skeleton.derivatives(lambda time: _standing(body, walk, k, time), t))


def _swinging(walk: Walk, k: jax.Array, t: jax.Array) -> jax.Array:
    """The ankle in the swing after contact k [3, ...]: a quintic and the style's bumps."""
    off = walk.strike[k] + walk.stance[k]
    span = walk.next[k] - off
    w = (t - off) / span
    (p, v, a), (q, u, b) = walk.leave[:, :, k], walk.land[:, :, k]
    v, u, a, b = v * span, u * span, a * span**2, b * span**2
    gap = q - p
    c3 = 10 * gap - 6 * v - 4 * u - 1.5 * a + 0.5 * b
    c4 = -15 * gap + 8 * v + 7 * u + 1.5 * a - b
    c5 = 6 * gap - 3 * v - 3 * u - 0.5 * a + 0.5 * b
    path = p + w * (v + w * (a / 2 + w * (c3 + w * (c4 + w * c5))))
    x = 2 * w - 1
    powers = jnp.stack([x**n for n in range(walk.style.swing.shape[1])])
    bumps = 64 * (w * (1 - w)) ** 3 * powers
    ahead, up = (jnp.einsum("c,c...->...", c, bumps) for c in walk.style.swing)
    return path + jnp.stack([ahead, jnp.zeros_like(ahead), up])


def tracks(body: Body, walk: Walk, t: jax.Array) -> Tracks:
    """What the gait prescribes at t [T], from `begin` on, up to the third contact from the end."""
    k = foot_contact(walk, t)
    stands = t < walk.strike[k] + walk.stance[k]
    ankle = jnp.where(stands, _standing(body, walk, k, t), _swinging(walk, k, t))
    off = walk.strike[k] + walk.stance[k]
    after = jnp.minimum(k + 2, walk.strike.shape[0] - 1)
    w = jnp.clip((t - off) / (walk.next[k] - off), 0, 1)
    share = (t - walk.strike[k]) / walk.stance[k]
    freed = smooth(jnp.clip(w / LOOSE, 0, 1))
    yaw = walk.yaw[k] + (walk.yaw[after] - walk.yaw[k]) * smooth(w)
    pitch = _pitch(walk, k, t) - walk.ground.tilt
    foot = jnp.stack([jnp.zeros_like(pitch), pitch, yaw])
    style, turns = walk.style, phase(walk, k[0], t)
    arm = jnp.stack([series(style.arm, turns), series(style.arm, turns + 0.5)])
    elbow = jnp.stack([series(style.elbow, turns), series(style.elbow, turns + 0.5)])
    none = jnp.zeros_like(elbow)
    return Tracks(
        root=mass_centre(walk, t),
        pelvis=series(style.pelvis, turns),
        trunk=series(style.trunk, turns) + spline(walk.fix, (t - walk.begin) / FIX),
        head=series(style.head, turns),
        ankle=jnp.moveaxis(ankle, 1, 0),
        foot=jnp.moveaxis(foot, 1, 0),
        leg=yaw,
        girdle=jnp.stack([none, none], 1),
        arm=arm,
        elbow=jnp.stack([elbow, none], 1),
        hand=jnp.stack([none, none], 1),
        loose=jnp.where(stands, 1 - smooth(jnp.clip(share / LOOSE, 0, 1)), freed),
    )


@jax.jit
def kinematics(body: Body, walk: Walk, t: jax.Array) -> Kinematics:
    """Kinematics of the walk at t [T]."""
    return skeleton.kinematics(body, lambda time: tracks(body, walk, time), t, True)
