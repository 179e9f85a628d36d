"""Styles of gait: the calibrated table, a person's own manner, and what a trial asks for.

The table (gait.json) is fitted by launch/calibrate_gait.py to the published curves of
launch/gait_curves.json.  Every entry is a quadratic in the speed of a person with the table's
leg; others go as it does at the same Froude number: lengths by the leg's length, times by its root.
"""

import functools
import json
from importlib import resources
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imujax.simulate.body import Body, leg_lengths, standing_centre
from imujax.simulate.gait import Style


class GaitManner(NamedTuple):
    """How a person's gait deviates from the table; zeros are the table itself.

    Attributes
    ----------
    cadence, stance, lost, span, limb, swing, arms, width : jax.Array, []
        Logarithms of factors on the step rate, the stance's share, the speed lost at contact, the
        time that takes and the mass that is stopped, the swing's bumps, the arms' swing, and the
        force towards the middle (which sets the step width).
    toes, strike, lean, sway : jax.Array, []
        rad: toes turned out, toes down at contact, trunk forwards, trunk over the standing leg.
    pitch : jax.Array, [1 + 2H]
        Added to the foot's pitch over its stride, rad.
    force : jax.Array, [3, J]
        Added to the harmonics of the force, body weights.
    inversion, knee, shank : jax.Array, [1 + 2H]
        Added to the foot's list, the turn of the knee's axis and the shank's turn from it over the
        stride, rad.
    twist : jax.Array, [2, 4]
        Added to the bumps of the swinging foot's list and turn, rad.
    """

    cadence: jax.Array
    stance: jax.Array
    lost: jax.Array
    span: jax.Array
    limb: jax.Array
    swing: jax.Array
    arms: jax.Array
    width: jax.Array
    toes: jax.Array
    strike: jax.Array
    lean: jax.Array
    sway: jax.Array
    pitch: jax.Array
    force: jax.Array
    inversion: jax.Array
    knee: jax.Array
    shank: jax.Array
    twist: jax.Array


# Standard deviations from person to person, and a share of them from one trial of a person to the
# next: shoes, fatigue, mood.
TRIAL_SHARE = 0.5
MANNER_SD = {
    "cadence": 0.04,
    "stance": 0.015,
    "lost": 0.15,
    "span": 0.10,
    "limb": 0.15,
    "swing": 0.05,
    "arms": 0.30,
    "width": 0.15,
    "toes": 0.06,
    "strike": 0.04,
    "lean": 0.03,
    "sway": 0.01,
    "pitch": 0.008,
    "force": 0.012,
    "inversion": 0.03,
    "knee": 0.03,
    "shank": 0.03,
    "twist": 0.14,
}
SERIES = ("pitch", "inversion", "knee", "shank")  # over the stride: higher harmonics vary less
BUMP_CONCENTRATION = 6.0  # how narrow the bump of the foot's pitch at contact is (von Mises)


@functools.cache
def table() -> dict[str, Any]:
    """{gait: {leg, centre_of_mass m, centre, spread m/s, fields: {name: [3, ...]}}}."""
    return json.loads(resources.files("imujax.simulate").joinpath("gait.json").read_text())


def random_manner(key: jax.Array, share: float | jax.Array = 1.0) -> GaitManner:
    """A person's manner at random; `share` scales it, and the higher harmonics vary less."""
    fields = next(iter(table().values()))["fields"]
    shapes = {name: np.shape(fields[name])[1:] for name in (*SERIES, "force", "twist")}
    keys = jax.random.split(key, len(GaitManner._fields))
    values = {}
    for name, key in zip(GaitManner._fields, keys, strict=True):
        values[name] = share * MANNER_SD[name] * jax.random.normal(key, shapes.get(name, ()))
    for name in SERIES:
        falloff = jnp.arange(1, (shapes[name][0] - 1) // 2 + 1.0)
        values[name] = values[name] / jnp.concatenate([jnp.ones(1), falloff, falloff])
    values["force"] = values["force"] / jnp.arange(1.0, shapes["force"][1] + 1)
    return GaitManner(**values)


def average_manner() -> GaitManner:
    """The manner of the table itself: no deviation."""
    return jax.tree.map(jnp.zeros_like, random_manner(jax.random.key(0)))


def impaired(style: Style, severity: jax.Array) -> Style:
    """A style as after an injury or in old age; severity 0 (none) to 1, our choice.

    Longer stances, flatter feet that hardly leave the ground, legs apart, a trunk that leans, arms
    that hang; slowness and unevenness are of the walk and the body.
    """
    apart = style.force.at[1].multiply(1 + 0.4 * severity)
    return style._replace(
        stance=style.stance * (1 + 0.06 * severity),
        force=apart,
        pitch=style.pitch * (1 - 0.4 * severity),
        swing=style.swing * (1 - 0.4 * severity),
        trunk=style.trunk.at[1, 0].add(0.15 * severity),
        arm=style.arm.at[:, 1:].multiply(1 - 0.6 * severity),
        toes=style.toes + 0.1 * severity,
    )


def make_style(gait: str, body: Body, speed: jax.Array, manner: GaitManner) -> Style:
    """The style in which one person goes at one speed.

    Parameters
    ----------
    gait : str
        "walking" or "running", an entry of the table.
    body : Body
        One person.
    speed : jax.Array, []
        m/s.
    manner : GaitManner
        The person's deviations from the table.

    Returns
    -------
    Style
        Shapes for this body; the table's at the same Froude number, with the deviations.
    """
    entry = table()[gait]
    scale = (sum(leg_lengths(body)) - body.heel[0, 2]) / entry["leg"]  # lengths
    x = (speed / jnp.sqrt(scale) - entry["centre"]) / entry["spread"]

    def at(name):
        first, slope, bend = jnp.asarray(entry["fields"][name], x.dtype)
        return first + x * (slope + x * bend)

    count = (at("pitch").shape[0] - 1) // 2
    # Toes down at contact: a bump of the pitch about the strike, as a Fourier series.
    from_strike = jnp.exp(-0.5 * jnp.arange(1, count + 1) ** 2 / BUMP_CONCENTRATION)
    bump = jnp.concatenate([jnp.zeros(1), from_strike / from_strike.sum(), jnp.zeros(count)])
    force = at("force") + manner.force
    force = force * jnp.stack([jnp.ones(()), jnp.exp(manner.width), jnp.ones(())])[:, None]
    pulse = at("pulse") * jnp.exp(jnp.stack([manner.limb, manner.lost, manner.span]))
    trunk = at("trunk").at[1, 0].add(manner.lean)
    half = (trunk.shape[1] - 1) // 2
    trunk = trunk.at[0, 1 + half].add(manner.sway)  # over the right leg in its stance
    arm = at("arm")
    arm = jnp.concatenate([arm[:, :1], arm[:, 1:] * jnp.exp(manner.arms)], 1)
    root = jnp.sqrt(scale)
    return Style(
        step=at("step") * root * jnp.exp(-manner.cadence),
        stance=at("stance") * jnp.exp(manner.stance),
        force=force,
        pulse=pulse * jnp.stack([jnp.ones(()), root, root]),
        pitch=at("pitch") + manner.pitch + manner.strike * bump,
        swing=at("swing") * scale * jnp.exp(manner.swing),
        height=at("height") * scale + standing_centre(body)[2] - entry["centre_of_mass"] * scale,
        pressure=at("pressure"),
        toes=at("toes") + manner.toes,
        inversion=at("inversion") + manner.inversion,
        twist=at("twist") + manner.twist,
        knee=at("knee") + manner.knee,
        shank=at("shank") + manner.shank,
        pelvis=at("pelvis"),
        trunk=trunk,
        head=at("head"),
        arm=arm,
        elbow=at("elbow"),
    )
