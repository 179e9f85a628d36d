"""Fit the table of gaits, imujax/simulate/gait.json, to the published curves of gait_curves.json.

    python launch/calibrate_gait.py --evaluations 40

It starts from the table that is there and prints how far each curve is from the published one.  Of
every gait the shapes that have no published value of their own are free: harmonics of the fore-aft
and vertical force, the foot's pitch, the swing and the height, each a quadratic in the speed.  A
person of 1.75 m and 70 kg takes steps without variation.  What turns a foot and a leg out of its
plane is drawn through the knots of gait_curves.json, alike at all speeds.
"""

import argparse
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from imujax import simulate
from imujax.data.recordings import G
from imujax.simulate import balance, body, dynamics, gait, skeleton, style
from imujax.simulate.way import Way

HERE = pathlib.Path(__file__).parent
POINTS = 60  # samples of a stride
FREE = {"force": 0.02, "pitch": 0.02, "swing": 0.02, "height": 0.01}  # steps
HARMONICS = {"inversion": 5, "knee": 4, "shank": 4}
FORE_AFT = (0.8, 1.1, 1.35)  # of the one runner's force, at the three speeds


def turns_out_of_plane(curves: dict) -> dict[str, list]:
    """Style's inversion, knee, shank and twist [3, ...] of a gait, from its knots."""
    share = np.arange(400) / 400
    fields = {"twist": np.array(curves["twist"])}
    for name, count in HARMONICS.items():
        at, degrees = np.array(curves[name]).T  # the first knot is at the strike
        course = CubicSpline([*at / 100, 1], np.deg2rad([*degrees, degrees[0]]), bc_type="periodic")
        angle = 2 * np.pi * share[:, None] * np.arange(1, count + 1)
        basis = np.concatenate([np.ones((400, 1)), np.cos(angle), np.sin(angle)], 1)
        fields[name] = np.linalg.lstsq(basis, course(share), rcond=None)[0]
    return {k: [np.round(v, 6).tolist(), *[(0 * v).tolist()] * 2] for k, v in fields.items()}


def simulate_stride(person, entry, fields, speed):
    """One stride of the right foot without variation -> curves, each [POINTS]."""
    x = (speed / np.sqrt(LEG / entry["leg"]) - entry["centre"]) / entry["spread"]
    shape = gait.Style(**{k: f[0] + x * (f[1] + x * f[2]) for k, f in fields.items()})
    no_noise = jax.tree.map(
        jnp.zeros_like, gait.random_noise(jax.random.key(0), 10, shape.force.shape[1])
    )
    level = Way(jnp.zeros(()), jnp.zeros(()))
    walk = gait.lay_contacts(person, shape, level, speed, no_noise, 2.0)
    t = walk.strike[4] + (walk.next_strike[4] - walk.strike[4]) * jnp.arange(POINTS) / POINTS + 1e-6
    kin = gait.kinematics(person, walk, t)
    aim = gait.tracks(person, walk, t).ankle[0] - kin.position[skeleton.PAIR["thigh"]]
    foot = kin.rotation[skeleton.PAIR["foot"]]
    force, share = gait.ground_force(walk, t)
    ball = kin.position[skeleton.PAIR["foot"]] + skeleton.matvec(foot, person.ball[0])
    loads = balance.nominal_loads(person, walk, t)
    return {
        "foot": jnp.rad2deg(jnp.arctan2(foot[2, 0], foot[0, 0])),
        "lean": jnp.rad2deg(jnp.arctan2(aim[0], -aim[2])),
        "reach": jnp.sqrt((aim**2).sum(0)) / sum(body.leg_lengths(person)),
        "knee": jnp.rad2deg(skeleton.knee_flexion(kin)[0]),
        "up": force[0, 2],
        "ahead": force[0, 0],
        "pelvis": kin.position[0, 2] - kin.position[0, 2].mean(),
        "clear": jnp.where(share[0] < 1, 1.0, ball[2]),
        "excess": dynamics.moment_excess(person, kin, loads)[1] / (person.mass * G),
    }


def published_targets(person, kind: str, curves: dict, scale: float) -> dict:
    """The targets of one speed, each [POINTS]."""
    turns = np.arange(POINTS) / POINTS

    def over_stride(values):
        return np.interp(turns, np.linspace(0, 1, len(values)), values)

    thigh, shank = (float(x) for x in body.leg_lengths(person))
    low, bent = (np.deg2rad(over_stride(curves[name])) for name in ("shank", "knee"))
    x = thigh * np.sin(low + bent) + shank * np.sin(low)
    z = thigh * np.cos(low + bent) + shank * np.cos(low)
    ahead = (
        np.array(curves["ahead"] if kind == "walking" else curves["ahead_of_one_runner"]) * scale
    )
    targets = {
        "foot": over_stride(curves["foot"]),
        "knee": over_stride(curves["knee"]),
        "lean": np.rad2deg(np.arctan2(x, z)),
        "reach": np.minimum(np.hypot(x, z) / (thigh + shank), 0.9962),
        "ahead": np.interp(turns / curves["stance"], np.linspace(0, 1, len(ahead)), ahead, right=0),
    }
    if kind == "walking":
        up = np.array(curves["up"])
        targets["up"] = np.interp(turns / curves["stance"], np.linspace(0, 1, len(up)), up, right=0)
    else:
        targets["pelvis"] = over_stride(curves["pelvis"])
    return targets


def residuals(kind: str, fitted: dict, target: dict):
    """Differences in parts of what is tolerated, one vector of a speed."""
    lean = fitted["lean"] - target["lean"]
    if kind == "running":  # markers on the skin: the thigh's attitude has an unknown offset
        lean = lean - 0.9 * lean.mean()
    strong, wide = (6, 0.12) if kind == "walking" else (3, 0.18)
    parts = [
        (fitted["foot"] - target["foot"]) / 2,
        lean / 1.5,
        (fitted["reach"] - target["reach"]) / (0.003 + 0.06 * (1 - target["reach"])),
        (fitted["ahead"] - target["ahead"]) / (0.02 if kind == "walking" else 0.05),
        jnp.minimum(fitted["clear"] - 0.012, 0) / 0.004,
        jnp.maximum(fitted["reach"] - 0.997, 0) / 0.001,
        strong * jnp.tanh(fitted["excess"] / wide),
    ]
    if kind == "walking":
        parts.append((fitted["up"] - target["up"]) / 0.06)
    else:
        parts.append((fitted["pelvis"] - target["pelvis"]) / 0.01)
    return jnp.concatenate(parts) / np.sqrt(POINTS)


def fit(kind: str, entry: dict, curves: list[dict], evaluations: int) -> dict:
    """The entry of one gait with its free fields fitted."""
    person = body.standard(70.0, 1.75, 0.5)
    fields = {k: jnp.asarray(v, float) for k, v in entry["fields"].items()}
    free = {k: fields[k] for k in FREE}
    start, unravel = ravel_pytree(free)
    steps = np.concatenate([np.full(free[k].size, FREE[k]) for k in sorted(FREE)])
    speeds = [c["speed"] * np.sqrt(LEG / c["leg"]) for c in curves]
    scales = FORE_AFT if kind == "running" else (1.0,) * len(curves)
    by_speed = [published_targets(person, kind, c, s) for c, s in zip(curves, scales, strict=True)]
    targets = {k: jnp.stack([values[k] for values in by_speed]) for k in by_speed[0]}

    def shapes(flat):
        tried = unravel(flat)  # the force to the side has nothing to be fitted to
        return tried | {"force": tried["force"].at[:, 1].set(fields["force"][:, 1])}

    def curves_of(flat):
        return jax.vmap(lambda v: simulate_stride(person, entry, fields | shapes(flat), v))(
            jnp.array(speeds)
        )

    @jax.jit
    def differences(flat):
        return jax.vmap(lambda f, t: residuals(kind, f, t))(curves_of(flat), targets).ravel()

    differences_of_many = jax.jit(lambda flats: jax.lax.map(differences, flats, batch_size=16))

    def jacobian(flat):
        near = np.concatenate([flat[None], flat + np.diag(1e-4 * steps)])
        values = np.asarray(differences_of_many(near))
        return ((values[1:] - values[0]) / (1e-4 * steps)[:, None]).T

    solution = least_squares(
        lambda flat: np.asarray(differences(flat)),
        np.asarray(start),
        jac=jacobian,
        x_scale=steps,
        max_nfev=evaluations,
    )
    fitted = curves_of(solution.x)
    for i, speed in enumerate(speeds):
        errors = {k: float(np.sqrt(((fitted[k][i] - targets[k][i]) ** 2).mean())) for k in targets}
        print(f"{kind} {speed:.2f} m/s, RMS:", *(f"{k} {v:.3g}" for k, v in errors.items()))
    rounded = jax.tree.map(lambda x: np.round(np.asarray(x), 6).tolist(), shapes(solution.x))
    return entry | {"fields": entry["fields"] | rounded}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--evaluations", type=int, default=40, help="0: fit nothing")
    options = parser.parse_args()
    LEG = float(
        sum(body.leg_lengths(body.standard(70.0, 1.75, 0.5)))
        - body.standard(70.0, 1.75, 0.5).heel[0, 2]
    )
    data = json.loads((HERE / "gait_curves.json").read_text())
    table = {
        k: e | {"fields": e["fields"] | turns_out_of_plane(data["turns"][k])}
        for k, e in style.table().items()
    }
    gaits = table
    if options.evaluations:
        gaits = {k: fit(k, e, data[k], options.evaluations) for k, e in table.items()}
    out = pathlib.Path(simulate.__file__).with_name("gait.json")
    out.write_text(json.dumps(gaits, separators=(",", ":")))
    print(out)
