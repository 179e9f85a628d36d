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

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imujax.errors import UserError

PAIRS = ("thigh", "shank", "foot", "shoulder", "upper_arm", "forearm", "hand")
SEGMENTS = ("pelvis", "trunk", "head", *(f"{name}_{side}" for name in PAIRS for side in "rl"))
INDEX = {name: i for i, name in enumerate(SEGMENTS)}
PARENT = (-1, 0, 1, 0, 0, 3, 4, 5, 6, 1, 1, 9, 10, 11, 12, 13, 14)
RIGHT = ("pelvis", "trunk", "head", *PAIRS)  # the midline and the right side
MOVI_PAIRS = ("UpLeg", "Leg", "Foot", "Shoulder", "Arm", "ForeArm", "Hand")
MOVI = (
    "Hip",
    "Spine1",
    "Head",
    *(side + name for name in MOVI_PAIRS for side in ("Right", "Left")),
)

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
TRUNK = (614.8, 603.3)
SHOULDER_HEIGHT = (497.9, 515.5)

# Shares of stature, both sexes.
ANKLE = 0.039  # height of the ankle joint; Drillis & Contini 1966 (Winter 2009, fig. 4.1)
FOOT = 0.152  # foot length; the same (the table's feet are short: .132 and .148)
# Between the hip joints: .72 of the bispinous breadth is .106 (Bell et al. 1989, de Leva's 256 mm),
# musculoskeletal models have .093 (Delp et al. 1990); we take the middle.
HIPS = 0.100
# Between the shoulder joints: the biacromial breadth (.231, ANSUR II) less 12 mm a side, our
# estimate of the way from the acromion's edge to the centre of the humeral head.
SHOULDERS = 0.218
STERNUM = 0.025  # between the sternoclavicular joints; our estimate

# Shares of the foot's length, from the heel.
HEEL_TO_ANKLE = 0.22  # 6 cm at 1.80 m (van den Bogert's planar gait model); .18 to .24 reported
HEEL_TO_BALL = 0.74  # first metatarsal head; ball of foot length of ANSUR II

# Clavicle and scapula, sternoclavicular to shoulder joint; Dempster 1955 as tabled by Winter 1990.
GIRDLE_MASS = 0.0158  # share of the body, each side
GIRDLE_CENTRE = 0.712  # share of the length

LEG = 0.9  # [m] hip to sole of the person whose walking speed PEOPLE["speed"] is

# Heights: ANSUR II (Gordon et al. 2014), rounded. Mean speed: comfortable speed at 20 to 49 years,
# Bohannon 1997. Its SD, body mass index, proportion, asymmetry: our choice for active adults.
PEOPLE = {
    "male": 0.5,  # share of men
    "height": {"female": (1.63, 0.064), "male": (1.76, 0.069)},  # mean, SD [m]
    "bmi": (23.0, 2.2),  # mean, SD [kg/m^2]
    "proportion": 0.03,  # SD of the factor on each segment's length
    "asymmetry": 0.02,  # SD of the right side's factor
    "speed": (1.40, 0.15),  # mean, SD [m/s] of people whose legs are LEG long
}
LIMIT = 2.5  # normal distributions are cut at so many SD

MIRROR = (1.0, -1.0, 1.0)
COLUMN = ("ankle", "shank", "thigh", "pelvis", "trunk", "head")  # sole to vertex
BESIDE = ("foot", "hips", "shoulders", "upper_arm", "forearm", "hand")


class Body(NamedTuple):
    """One person; a batch of people is a Body whose arrays have a leading axis.

    Segment frames are x forward, y left, z up in upright standing with the arms hanging (palms to
    the thighs); the origin is the proximal joint, the pelvis' the middle of the hip joints. A pair
    is right, left.
    """

    mass: jax.Array  # [] kg
    height: jax.Array  # [] m
    male: jax.Array  # [] 0 or 1
    segment_mass: jax.Array  # [17] kg, sums to the mass
    com: jax.Array  # [17, 3] m, centre of mass in the segment's frame
    inertia: jax.Array  # [17, 3] kg m^2, about the centre of mass, along the segment's x, y, z
    joint: jax.Array  # [17, 3] m, the segment's origin in its parent's frame
    heel: jax.Array  # [2, 3] m, points of the sole in the foot's frame
    ball: jax.Array  # [2, 3] m
    toe: jax.Array  # [2, 3] m
    speed: jax.Array  # [] m/s, preferred walking speed
    asymmetry: jax.Array  # [2] factors near 1 with product 1


@jax.jit
def standard(mass, height, male) -> Body:
    """The tables scaled to one mass [kg], stature [m] and sex (1 male, 0 female); nothing drawn."""
    ones = dict.fromkeys(COLUMN + BESIDE, 1.0)
    return build(mass, height, male, ones, PEOPLE["speed"][0], 0.0)


def draw(key, count: int, people=PEOPLE) -> Body:
    """`count` people of a population as a Body with a leading axis [count].

    people: the keys of PEOPLE; every SD is that of the normal distribution before it is cut at
    LIMIT SD. The same key gives the same people.
    """
    if set(people) != set(PEOPLE):
        raise UserError(
            f"the population has the entries {', '.join(sorted(people))}; "
            f"give it exactly {', '.join(sorted(PEOPLE))}"
        )
    return _draw(key, count, people)


@partial(jax.jit, static_argnums=1)
def _draw(key, count, people):
    sex, rest = jax.random.split(key)
    male = jax.random.bernoulli(sex, people["male"], (count,)).astype(float)
    names = COLUMN + BESIDE
    z = jax.random.truncated_normal(rest, -LIMIT, LIMIT, (4 + len(names), count), float)
    (women, women_sd), (men, men_sd) = people["height"]["female"], people["height"]["male"]
    height = jnp.where(male == 1, men + men_sd * z[0], women + women_sd * z[0])
    bmi = people["bmi"][0] + people["bmi"][1] * z[1]
    speed = people["speed"][0] + people["speed"][1] * z[2]
    uneven = people["asymmetry"] * z[3]
    factors = dict(zip(names, 1 + people["proportion"] * z[4:], strict=True))
    return jax.vmap(build)(bmi * height**2, height, male, factors, speed, uneven)


def leg(body: Body):
    """Lengths of thigh and shank [...] m; the sole lies -body.heel[..., 2] below the ankle."""
    return -body.joint[..., INDEX["shank_r"], 2], -body.joint[..., INDEX["foot_r"], 2]


def centre(body: Body):
    """Centre of mass of one standing person, from the middle of the hip joints [3] m."""
    at = []
    for i, parent in enumerate(PARENT):
        at.append(body.joint[i] + (at[parent] if parent >= 0 else 0.0))
    return (body.segment_mass[:, None] * (jnp.stack(at) + body.com)).sum(0) / body.mass


def build(mass, height, male, factors: dict, speed, uneven) -> Body:
    """The body of one person.

    factors: on the length of every name of COLUMN and BESIDE, before the column is fitted to the
    stature; speed [m/s] of a person with legs of LEG, scaled by the root of the leg's length (equal
    Froude numbers); uneven: logarithm of the right side's asymmetry factor.
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
        speed=speed * jnp.sqrt((ankle + length["shank"] + length["thigh"]) / LEG),
        asymmetry=jnp.exp(uneven * jnp.array((1.0, -1.0))),
    )


def _lengths(height, male, factors) -> dict:
    """Length [m] of every name of COLUMN and BESIDE, and of the trunk's parts on its scale."""
    printed = _by_sex(np.array(list(DE_LEVA.values()))[..., 0].T, male)
    printed = dict(zip(ROWS, printed, strict=True))
    stature, trunk, shoulder = _by_sex(np.array((STATURE, TRUNK, SHOULDER_HEIGHT)).T, male)
    printed |= {"pelvis": printed["lower_trunk"], "trunk": trunk - printed["lower_trunk"]}
    share = {name: value / stature for name, value in printed.items()}
    share |= {"ankle": ANKLE, "foot": FOOT, "hips": HIPS, "shoulders": SHOULDERS}
    length = {name: share[name] * factors[name] * height for name in COLUMN + BESIDE}
    fit = height / sum(length[name] for name in COLUMN)
    length |= {name: length[name] * fit for name in COLUMN}

    scale = length["trunk"] / printed["trunk"]
    length |= {name: printed[name] * scale for name in ("middle_trunk", "upper_trunk")}
    length["lower_trunk"] = length["pelvis"]
    length["sternum_height"] = length["middle_trunk"] + length["upper_trunk"]
    length["shoulder_height"] = (shoulder - printed["pelvis"]) * scale  # above the trunk's joint
    length["sternum"] = STERNUM / SHOULDERS * length["shoulders"]
    return length


def _solids(mass, male, length):
    """Mass [10], centre of mass [10, 3] and inertia [10, 3] of RIGHT.

    The table's sagittal axis is our x and its transverse one our y: only so is the trunk wider than
    deep and the head deeper than wide. Two segments lie differently. The foot's long axis is our x
    and its sagittal axis, from sole to instep, our z. The table's palms look forward, ours at the
    thighs: the hand's sagittal axis is our y.
    """
    table = _by_sex(np.array(list(DE_LEVA.values())).swapaxes(0, 1) / 100, male)  # [10, 6]
    twice = np.array([2.0 if name in PAIRS else 1.0 for name in ROWS])
    # The women's masses sum to 99.99 %.
    own = mass * table[:, 1] / (table[:, 1] * twice).sum()
    long = jnp.stack([length[name] for name in ROWS])
    own, below, moment = (
        dict(zip(ROWS, values, strict=True))
        for values in (own, table[:, 2] * long, own[:, None] * (table[:, 3:] * long[:, None]) ** 2)
    )
    moment["foot"] = moment["foot"][::-1]
    moment["hand"] = moment["hand"][np.array((1, 0, 2))]
    com = {name: (0.0, 0.0, -below[name]) for name in ROWS}
    com["head"] = (0.0, 0.0, length["head"] - below["head"])
    com["pelvis"] = (0.0, 0.0, length["pelvis"] - below["lower_trunk"])
    # The table has no height of the foot's centre: half way from sole to ankle, as Winter 2009 has
    # it half way from the malleolus to the metatarsal heads.
    ahead = below["foot"] - HEEL_TO_ANKLE * length["foot"]
    com["foot"] = (ahead, 0.0, -length["ankle"] / 2)
    own["pelvis"], moment["pelvis"] = own["lower_trunk"], moment["lower_trunk"]
    _split_trunk(mass, own, below, moment, com, length)
    return (
        jnp.stack([own[name] for name in RIGHT]),
        _points(*(com[name] for name in RIGHT)),
        jnp.stack([moment[name] for name in RIGHT]),
    )


def _split_trunk(mass, own, below, moment, com, length):
    """Adds trunk and shoulder, which are, the left one included, the middle and upper trunk.

    The shoulder's own inertia is that of a uniform cube as wide as the girdle is long (our choice:
    the data give none). What is left for the trunk follows by parallel axes about its joint.
    """
    girdle = GIRDLE_MASS * mass
    _, side, rise = _shoulder_joint(length)
    cube = girdle * (side**2 + rise**2) / 6
    com["shoulder"] = (0.0, GIRDLE_CENTRE * side, GIRDLE_CENTRE * rise)
    own["shoulder"], moment["shoulder"] = girdle, jnp.stack([cube] * 3)

    y = GIRDLE_CENTRE * side - length["sternum"] / 2
    z = GIRDLE_CENTRE * rise + length["sternum_height"]
    lower, upper = own["middle_trunk"], own["upper_trunk"]
    z_lower = length["middle_trunk"] - below["middle_trunk"]
    z_upper = length["sternum_height"] - below["upper_trunk"]
    rest = lower + upper - 2 * girdle
    z_rest = (lower * z_lower + upper * z_upper - 2 * girdle * z) / rest
    upright = lower * z_lower**2 + upper * z_upper**2 - 2 * girdle * z**2 - rest * z_rest**2
    aside = 2 * girdle * y**2
    own["trunk"], com["trunk"] = rest, (0.0, 0.0, z_rest)
    moment["trunk"] = (
        moment["middle_trunk"]
        + moment["upper_trunk"]
        - 2 * cube
        + jnp.stack([upright - aside, upright, -aside])
    )


def _joints(length):
    """Origins [10, 3] of RIGHT in the parents' frames."""
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


def _both_sides(right, mirror=1.0):
    """[17, ...] from the values [10, ...] of RIGHT."""
    left = right[3:] * jnp.asarray(mirror, float)
    pairs = jnp.stack([right[3:], left], 1).reshape(14, *right.shape[1:])
    return jnp.concatenate([right[:3], pairs])
