"""People: segment lengths, masses and inertias from published tables, and populations of them.

The inertias are those of de Leva 1996 (J Biomech 29:1223-1230, table 4: young women and men; the
head, three parts of the trunk and six segments of each limb). Three things are put on top:

- Stature. The table's lengths stacked on an ankle joint at .039 of stature reach 2 % beyond the
  stature in men and .1 % short of it in women, since they run between landmarks that do not lie on
  one line. All lengths of that column (ankle height, shank, thigh, pelvis, trunk, head) are
  therefore multiplied by one factor that makes sole to vertex the stature, exactly. Arms, feet and
  widths are not in the column and keep their shares of stature.
- Shoulders. The table has no row for clavicle and scapula with their muscles: each is given the
  mass and centre that Dempster's data have for them, and is taken out of the trunk so that mass,
  centre of mass and inertia of the standing trunk as a whole remain those of the table.
- Depth. The table has none: but for the feet, all joints and centres lie in the plane x = 0.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from imujax.errors import UserError

PAIRS = ("thigh", "shank", "foot", "shoulder", "upper_arm", "forearm", "hand")
SEGMENTS = ("pelvis", "trunk", "head", *(f"{name}_{side}" for name in PAIRS for side in "rl"))
INDEX = {name: i for i, name in enumerate(SEGMENTS)}
PARENT = (-1, 0, 1, 0, 0, 3, 4, 5, 6, 1, 1, 9, 10, 11, 12, 13, 14)
RIGHT_SIDE = ("pelvis", "trunk", "head", *PAIRS)  # the midline and the right side

# de Leva 1996, table 4, (women, men) as printed: length [mm]; mass [% of the body]; centre of mass
# from the first of the two landmarks, and radii of gyration about the sagittal (antero-posterior),
# transverse (medio-lateral) and longitudinal axis [% of the length].
DE_LEVA = {
    "head": (  # VERT-CERV
        (243.7, 6.68, 48.41, 27.1, 29.5, 26.1),
        (242.9, 6.94, 50.02, 30.3, 31.5, 26.1),
    ),
    "upper_trunk": (  # SUPR-XYPH
        (142.5, 15.45, 20.77, 74.6, 50.2, 71.8),
        (170.7, 15.96, 29.99, 71.6, 45.4, 65.9),
    ),
    "middle_trunk": (  # XYPH-OMPH
        (205.3, 14.65, 45.12, 43.3, 35.4, 41.5),
        (215.5, 16.33, 45.02, 48.2, 38.3, 46.8),
    ),
    "lower_trunk": (  # OMPH-MIDH
        (181.5, 12.47, 49.20, 43.3, 40.2, 44.4),
        (145.7, 11.17, 61.15, 61.5, 55.1, 58.7),
    ),
    "upper_arm": (  # SJC-EJC
        (275.1, 2.55, 57.54, 27.8, 26.0, 14.8),
        (281.7, 2.71, 57.72, 28.5, 26.9, 15.8),
    ),
    "forearm": (  # EJC-WJC
        (264.3, 1.38, 45.59, 26.1, 25.7, 9.4),
        (268.9, 1.62, 45.74, 27.6, 26.5, 12.1),
    ),
    "hand": (  # WJC-DAC3
        (170.1, 0.56, 34.27, 24.4, 20.8, 15.4),
        (187.9, 0.61, 36.24, 28.8, 23.5, 18.4),
    ),
    "thigh": (  # HJC-KJC
        (368.5, 14.78, 36.12, 36.9, 36.4, 16.2),
        (422.2, 14.16, 40.95, 32.9, 32.9, 14.9),
    ),
    "shank": (  # KJC-AJC
        (438.6, 4.81, 43.52, 26.7, 26.3, 9.2),
        (440.3, 4.33, 43.95, 25.1, 24.6, 10.2),
    ),
    "foot": (  # HEEL-TTIP
        (228.3, 1.29, 40.14, 29.9, 27.9, 13.9),
        (258.1, 1.37, 44.15, 25.7, 24.5, 12.4),
    ),
}
ROWS = tuple(DE_LEVA)
# Of the same women, men [mm]: stature; cervicale (base of the neck), mid-shoulder to mid-hip.
STATURE = (1735.0, 1741.0)
TRUNK_LENGTH = (614.8, 603.3)
SHOULDER_HEIGHT = (497.9, 515.5)

# Shares of stature, both sexes.
ANKLE_HEIGHT = 0.039  # height of the ankle joint; Drillis & Contini 1966 (Winter 2009, fig. 4.1)
FOOT_LENGTH = 0.152  # foot length; the same (the table's feet are short: .132 and .148)
# Between the hip joints: .72 of the bispinous breadth is .106 (Bell et al. 1989, de Leva's 256 mm),
# musculoskeletal models have .093 (Delp et al. 1990); we take the middle.
HIP_WIDTH = 0.100
# Between the shoulder joints: the biacromial breadth (.231, ANSUR II) less 12 mm a side, our
# estimate of the way from the acromion's edge to the centre of the humeral head.
SHOULDER_WIDTH = 0.218
STERNUM_WIDTH = 0.025  # between the sternoclavicular joints; our estimate

# Shares of the foot's length, from the heel.
HEEL_TO_ANKLE = 0.22  # 6 cm at 1.80 m (van den Bogert's planar gait model); .18 to .24 reported
HEEL_TO_BALL = 0.74  # first metatarsal head; ball of foot length of ANSUR II

# Clavicle and scapula, sternoclavicular to shoulder joint; Dempster 1955 as tabled by Winter 1990.
GIRDLE_MASS = 0.0158  # share of the body, each side
GIRDLE_CENTRE = 0.712  # share of the length

REFERENCE_LEG = 0.9  # [m] hip to sole of the person whose walking speed PEOPLE["speed"] is

# Heights: ANSUR II (Gordon et al. 2014), rounded. Mean speed: comfortable speed at 20 to 49 years,
# Bohannon 1997. Its SD, body mass index, proportion, asymmetry: our choice for active adults.
PEOPLE: dict[str, Any] = {
    "male": 0.5,  # share of men
    "height": {"female": (1.63, 0.064), "male": (1.76, 0.069)},  # mean, SD [m]
    "bmi": (23.0, 2.2),  # mean, SD [kg/m^2]
    "proportion": 0.03,  # SD of the factor on each segment's length
    "asymmetry": 0.02,  # SD of the right side's factor
    "speed": (1.40, 0.15),  # mean, SD [m/s] of people whose legs are REFERENCE_LEG long
}
MAX_SD = 2.5  # normal distributions are cut at so many SD

MIRROR = (1.0, -1.0, 1.0)
COLUMN = ("ankle", "shank", "thigh", "pelvis", "trunk", "head")  # sole to vertex
BESIDE = ("foot", "hips", "shoulders", "upper_arm", "forearm", "hand")


class Body(NamedTuple):
    """One person; a batch of people is a Body whose arrays have a leading axis.

    Segment frames are x forward, y left, z up in upright standing with the arms hanging (palms to
    the thighs); the origin is the proximal joint, the pelvis' the middle of the hip joints. A pair
    is right, left.

    Attributes
    ----------
    mass : jax.Array, []
        kg.
    height : jax.Array, []
        Stature, m.
    male : jax.Array, []
        0 or 1.
    segment_mass : jax.Array, [17]
        kg, sums to the mass.
    com : jax.Array, [17, 3]
        Centre of mass in the segment's frame, m.
    inertia : jax.Array, [17, 3]
        About the centre of mass, along the segment's x, y, z, kg m^2.
    joint : jax.Array, [17, 3]
        The segment's origin in its parent's frame, m.
    heel, ball, toe : jax.Array, [2, 3]
        Points of the sole in the foot's frame, m; of the toes' tip where they are straight: they
        bend at the ball (`skeleton.toe_points`).
    speed : jax.Array, []
        Preferred walking speed, m/s.
    asymmetry : jax.Array, [2]
        Factors near 1 with product 1.
    """

    mass: jax.Array
    height: jax.Array
    male: jax.Array
    segment_mass: jax.Array
    com: jax.Array
    inertia: jax.Array
    joint: jax.Array
    heel: jax.Array
    ball: jax.Array
    toe: jax.Array
    speed: jax.Array
    asymmetry: jax.Array


@jax.jit
def standard(mass: ArrayLike, height: ArrayLike, male: ArrayLike) -> Body:
    """The tables scaled to one mass, stature and sex; nothing drawn.

    Parameters
    ----------
    mass : float or array, []
        kg.
    height : float or array, []
        Stature, m.
    male : float or array, []
        1 male, 0 female; what lies between is between them.

    Returns
    -------
    Body
        One person, right and left alike.

    References
    ----------
    de Leva 1996, J Biomech 29:1223-1230, table 4; the other sources stand at the constants.
    """
    ones = dict.fromkeys(COLUMN + BESIDE, 1.0)
    return build_body(mass, height, male, ones, PEOPLE["speed"][0], 0.0)


def random_people(key: jax.Array, count: int, people: Mapping[str, Any] = PEOPLE) -> Body:
    """People of a population; the same key gives the same people.

    Parameters
    ----------
    key : jax.Array
        Random key.
    count : int
        How many.
    people : mapping
        The population, with the keys of PEOPLE; every SD is that of the normal distribution before
        it is cut at MAX_SD SD.

    Returns
    -------
    Body
        With a leading axis [count].

    Raises
    ------
    UserError
        If the population has other entries than PEOPLE.
    """
    if set(people) != set(PEOPLE):
        raise UserError(
            f"the population has the entries {', '.join(sorted(people))}; "
            f"give it exactly {', '.join(sorted(PEOPLE))}"
        )
    return _random_people(key, count, people)


@partial(jax.jit, static_argnums=1)
def _random_people(key, count, people):
    sex_key, body_key = jax.random.split(key)
    male = jax.random.bernoulli(sex_key, people["male"], (count,)).astype(float)
    names = COLUMN + BESIDE
    z = jax.random.truncated_normal(body_key, -MAX_SD, MAX_SD, (4 + len(names), count), float)
    (women, women_sd), (men, men_sd) = people["height"]["female"], people["height"]["male"]
    height = jnp.where(male == 1, men + men_sd * z[0], women + women_sd * z[0])
    bmi = people["bmi"][0] + people["bmi"][1] * z[1]
    speed = people["speed"][0] + people["speed"][1] * z[2]
    log_asymmetry = people["asymmetry"] * z[3]
    factors = dict(zip(names, 1 + people["proportion"] * z[4:], strict=True))
    return jax.vmap(build_body)(bmi * height**2, height, male, factors, speed, log_asymmetry)


def leg_lengths(body: Body) -> tuple[jax.Array, jax.Array]:
    """Lengths of thigh and shank [...] m; the sole lies -body.heel[..., 2] below the ankle."""
    return -body.joint[..., INDEX["shank_r"], 2], -body.joint[..., INDEX["foot_r"], 2]


def standing_centre(body: Body) -> jax.Array:
    """Centre of mass of one standing person, from the middle of the hip joints [3] m."""
    origins = []
    for i, parent in enumerate(PARENT):
        origins.append(body.joint[i] + (origins[parent] if parent >= 0 else 0.0))
    return (body.segment_mass[:, None] * (jnp.stack(origins) + body.com)).sum(0) / body.mass


def build_body(mass, height, male, factors: dict, speed, log_asymmetry) -> Body:
    """The body of one person.

    factors: on the length of every name of COLUMN and BESIDE, before the column is fitted to the
    stature; speed [m/s] of a person with legs of REFERENCE_LEG, scaled by the root of the leg's
    length (equal Froude numbers); log_asymmetry: of the right side's factor.
    """
    mass, height, male = (jnp.asarray(value, float) for value in (mass, height, male))
    length = _lengths(height, male, factors)
    segment_mass, com, inertia = _solids(mass, male, length)
    foot, ankle = length["foot"], length["ankle"]
    heel, ball, toe = (
        jnp.tile(_points((foot * (share - HEEL_TO_ANKLE), 0.0, -ankle)), (2, 1))
        for share in (0.0, HEEL_TO_BALL, 1.0)
    )
    return Body(
        mass=mass,
        height=height,
        male=male,
        segment_mass=_both_sides(segment_mass),
        com=_both_sides(com, MIRROR),
        inertia=_both_sides(inertia),
        joint=_both_sides(_joints(length), MIRROR),
        heel=heel,
        ball=ball,
        toe=toe,
        speed=speed * jnp.sqrt((ankle + length["shank"] + length["thigh"]) / REFERENCE_LEG),
        asymmetry=jnp.exp(log_asymmetry * jnp.array((1.0, -1.0))),
    )


def _lengths(height, male, factors) -> dict:
    """Length [m] of every name of COLUMN and BESIDE, and of the trunk's parts on its scale."""
    printed = _by_sex(np.array(list(DE_LEVA.values()))[..., 0].T, male)
    printed = dict(zip(ROWS, printed, strict=True))
    stature, trunk, shoulder = _by_sex(np.array((STATURE, TRUNK_LENGTH, SHOULDER_HEIGHT)).T, male)
    printed |= {"pelvis": printed["lower_trunk"], "trunk": trunk - printed["lower_trunk"]}
    share = {name: value / stature for name, value in printed.items()}
    share |= {
        "ankle": ANKLE_HEIGHT,
        "foot": FOOT_LENGTH,
        "hips": HIP_WIDTH,
        "shoulders": SHOULDER_WIDTH,
    }
    length = {name: share[name] * factors[name] * height for name in COLUMN + BESIDE}
    fit = height / sum(length[name] for name in COLUMN)
    length |= {name: length[name] * fit for name in COLUMN}

    scale = length["trunk"] / printed["trunk"]
    length |= {name: printed[name] * scale for name in ("middle_trunk", "upper_trunk")}
    length["lower_trunk"] = length["pelvis"]
    length["sternum_height"] = length["middle_trunk"] + length["upper_trunk"]
    length["shoulder_height"] = (shoulder - printed["pelvis"]) * scale  # above the trunk's joint
    length["sternum"] = STERNUM_WIDTH / SHOULDER_WIDTH * length["shoulders"]
    return length


def _solids(mass, male, length):
    """Mass [10], centre of mass [10, 3] and inertia [10, 3] of RIGHT_SIDE.

    The table's sagittal axis is our x and its transverse one our y: only so is the trunk wider than
    deep and the head deeper than wide. Two segments lie differently. The foot's long axis is our x
    and its sagittal axis, from sole to instep, our z. The table's palms look forward, ours at the
    thighs: the hand's sagittal axis is our y.
    """
    table = _by_sex(np.array(list(DE_LEVA.values())).swapaxes(0, 1) / 100, male)  # [10, 6]
    sides = np.array([2.0 if name in PAIRS else 1.0 for name in ROWS])
    # The women's masses sum to 99.99 %.
    segment_mass = mass * table[:, 1] / (table[:, 1] * sides).sum()
    lengths = jnp.stack([length[name] for name in ROWS])
    segment_mass, centre_below, moment = (
        dict(zip(ROWS, values, strict=True))
        for values in (
            segment_mass,
            table[:, 2] * lengths,
            segment_mass[:, None] * (table[:, 3:] * lengths[:, None]) ** 2,
        )
    )
    moment["foot"] = moment["foot"][::-1]
    moment["hand"] = moment["hand"][np.array((1, 0, 2))]
    com = {name: (0.0, 0.0, -centre_below[name]) for name in ROWS}
    com["head"] = (0.0, 0.0, length["head"] - centre_below["head"])
    com["pelvis"] = (0.0, 0.0, length["pelvis"] - centre_below["lower_trunk"])
    # The table has no height of the foot's centre: half way from sole to ankle, as Winter 2009 has
    # it half way from the malleolus to the metatarsal heads.
    ahead = centre_below["foot"] - HEEL_TO_ANKLE * length["foot"]
    com["foot"] = (ahead, 0.0, -length["ankle"] / 2)
    segment_mass["pelvis"], moment["pelvis"] = segment_mass["lower_trunk"], moment["lower_trunk"]
    _split_trunk(mass, segment_mass, centre_below, moment, com, length)
    return (
        jnp.stack([segment_mass[name] for name in RIGHT_SIDE]),
        _points(*(com[name] for name in RIGHT_SIDE)),
        jnp.stack([moment[name] for name in RIGHT_SIDE]),
    )


def _split_trunk(mass, segment_mass, centre_below, moment, com, length):
    """Adds trunk and shoulder, which are, the left one included, the middle and upper trunk.

    The shoulder's own inertia is that of a uniform cube as wide as the girdle is long (our choice:
    the data give none). What is left for the trunk follows by parallel axes about its joint.
    """
    girdle_mass = GIRDLE_MASS * mass
    _, side, rise = _shoulder_joint(length)
    cube = girdle_mass * (side**2 + rise**2) / 6
    com["shoulder"] = (0.0, GIRDLE_CENTRE * side, GIRDLE_CENTRE * rise)
    segment_mass["shoulder"], moment["shoulder"] = girdle_mass, jnp.stack([cube] * 3)

    y = GIRDLE_CENTRE * side - length["sternum"] / 2
    z = GIRDLE_CENTRE * rise + length["sternum_height"]
    lower, upper = segment_mass["middle_trunk"], segment_mass["upper_trunk"]
    z_lower = length["middle_trunk"] - centre_below["middle_trunk"]
    z_upper = length["sternum_height"] - centre_below["upper_trunk"]
    trunk_mass = lower + upper - 2 * girdle_mass
    z_trunk = (lower * z_lower + upper * z_upper - 2 * girdle_mass * z) / trunk_mass
    upright = (
        lower * z_lower**2 + upper * z_upper**2 - 2 * girdle_mass * z**2 - trunk_mass * z_trunk**2
    )
    aside = 2 * girdle_mass * y**2
    segment_mass["trunk"], com["trunk"] = trunk_mass, (0.0, 0.0, z_trunk)
    moment["trunk"] = (
        moment["middle_trunk"]
        + moment["upper_trunk"]
        - 2 * cube
        + jnp.stack([upright - aside, upright, -aside])
    )


def _joints(length):
    """Origins [10, 3] of RIGHT_SIDE in the parents' frames."""
    return _points(
        (0.0, 0.0, 0.0),
        (0.0, 0.0, length["pelvis"]),
        (0.0, 0.0, length["trunk"]),
        (0.0, -length["hips"] / 2, 0.0),
        (0.0, 0.0, -length["thigh"]),
        (0.0, 0.0, -length["shank"]),
        (0.0, -length["sternum"] / 2, length["sternum_height"]),
        _shoulder_joint(length),
        (0.0, 0.0, -length["upper_arm"]),
        (0.0, 0.0, -length["forearm"]),
    )


def _shoulder_joint(length):
    """From the right sternoclavicular joint."""
    side = (length["shoulders"] - length["sternum"]) / 2
    return 0.0, -side, length["shoulder_height"] - length["sternum_height"]


def _by_sex(values, male):
    """The women's or the men's of an array [2, ...]."""
    women, men = jnp.asarray(values, float)
    return women + male * (men - women)


def _points(*triples):
    """[n, 3] of n triples of scalars."""
    return jnp.stack([jnp.asarray(x, float) for triple in triples for x in triple]).reshape(-1, 3)


def _both_sides(right: jax.Array, mirror: float | tuple[float, ...] = 1.0) -> jax.Array:
    """[17, ...] from the values [10, ...] of RIGHT_SIDE."""
    left = right[3:] * jnp.asarray(mirror, float)
    pairs = jnp.stack([right[3:], left], 1).reshape(14, *right.shape[1:])
    return jnp.concatenate([right[:3], pairs])
