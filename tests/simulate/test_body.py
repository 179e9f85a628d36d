"""People against the rows of the table that the code does not use, measured inertias and laws."""

import jax
import numpy as np
import pytest
from scipy import stats

from imujax.data.raw_layouts import MOVI_JOINTS
from imujax.errors import UserError
from imujax.simulate import body

SEXES = (0, 1)
STATURE, MASS = (1.735, 1.741), (61.9, 73.0)  # de Leva 1996: means of the women and men scanned

# de Leva 1996, table 4, whole trunk, suprasternale to mid-hip (women, men): length [mm], mass [%],
# centre from suprasternale [%], radii sagittal, transverse, longitudinal [%].
WHOLE_TRUNK = (
    (529.3, 42.57, 41.51, 35.7, 33.9, 17.1),
    (531.9, 43.46, 44.86, 37.2, 34.7, 19.1),
)

# Its middle trunk, xiphion to omphalion, and upper trunk from cervicale to xiphion (the code has
# it from suprasternale): length [mm], mass [%], centre from the upper landmark [%], radii.
TRUNK_PARTS = (
    ((205.3, 14.65, 45.12, 43.3, 35.4, 41.5), (228.0, 15.45, 50.50, 46.6, 31.4, 44.9)),
    ((215.5, 16.33, 45.02, 48.2, 38.3, 46.8), (242.1, 15.96, 50.66, 50.5, 32.0, 46.5)),
)

# Zatsiorsky 2002, means of the women and men scanned: mass [kg]; moments about the sagittal,
# transverse and longitudinal axes [kg cm^2].
MEASURED = {
    "foot": ((0.88, 41.1, 35.6, 8.9), (0.997, 44.0, 40.0, 10.3)),
    "shank": ((3.0, 409.9, 399.7, 48.6), (3.16, 385.0, 371.0, 64.6)),
    "thigh": ((9.16, 1690.1, 1647.3, 324.2), (10.36, 1997.8, 1999.4, 413.4)),
    "hand": ((0.35, 6.0, 4.4, 2.4), (0.447, 13.2, 8.76, 5.37)),
    "forearm": ((0.86, 40.9, 39.7, 5.3), (1.177, 64.7, 60.2, 12.6)),
    "upper_arm": ((1.58, 92.3, 80.7, 26.2), (1.98, 127.3, 114.4, 38.95)),
    "head": ((4.2, 183.6, 216.5, 172.7), (5.018, 272.1, 293.9, 202.4)),
    "pelvis": ((7.73, 477.3, 411.0, 503.0), (8.164, 656.8, 525.0, 592.4)),
}
# Our x, y, z as columns of it, where they are not 0, 1, 2: the foot points forward, the palm hangs
# sideways.
AXES = {"foot": [2, 1, 0], "hand": [1, 0, 2]}
# mm, as printed: the column without the ankle, and the foot.
PRINTED_COLUMN = (438.6 + 368.5 + 614.8 + 243.7, 440.3 + 422.2 + 603.3 + 242.9)
PRINTED_FOOT = (228.3, 258.1)

# Santschi, DuBois & Omoto 1963: three men standing: stature [in], weight [lb], vertex to centre of
# mass [in], moments about the antero-posterior, transverse and long axis [lb in s^2].
STANDING = [
    (72.2, 173.5, 32.2, (132, 119, 13.1)),
    (67.4, 147.3, 29.8, (95.6, 81.9, 10.3)),
    (73.3, 203.0, 31.8, (144, 129, 14.2)),
]


@pytest.fixture(autouse=True, params=[True, False], ids=["float64", "float32"])
def eps(request):
    """Every test runs in both precisions; what rounding may do to sums of order 1."""
    with jax.enable_x64(request.param):
        yield 1e-13 if request.param else 2e-6


def person(sex, mass=70.0, height=1.75):
    return as_numpy(body.standard(mass, height, sex))


CROWD = 20_000


def crowd(seed, people=body.PEOPLE):
    """[CROWD] people: one compilation a precision serves all tests."""
    return as_numpy(body.random_people(jax.random.key(seed), CROWD, people))


def as_numpy(people):
    return body.Body(*(np.asarray(value, np.float64) for value in people))


def member(people, i):
    return body.Body(*(value[i] for value in people))


def origins(who):
    """[17, 3] in upright standing, the sole of the right foot at z = 0."""
    place = np.zeros((17, 3))
    for i, parent in enumerate(body.PARENT[1:], 1):
        place[i] = place[parent] + who.joint[i]
    place[:, 2] -= place[body.INDEX["foot_r"], 2] + who.heel[0, 2]
    return place


def point_masses(who, names):
    """Mass, centre of mass and inertia [3, 3] of some segments in standing, by the definition."""
    place, segments = origins(who), [body.INDEX[name] for name in names]
    mass = sum(who.segment_mass[i] for i in segments)
    centre = sum(who.segment_mass[i] * (place[i] + who.com[i]) for i in segments) / mass
    tensor = np.zeros((3, 3))
    for i in segments:
        r = place[i] + who.com[i] - centre
        tensor += np.diag(who.inertia[i])
        tensor += who.segment_mass[i] * (np.dot(r, r) * np.eye(3) - np.outer(r, r))
    return mass, centre, tensor


def vertex(who):
    """Height of the top of the head: its centre of mass lies .4841 or .5002 of its length below."""
    neck, head = origins(who)[2, 2], who.com[2, 2]
    return neck + head / (1 - np.where(who.male, 0.5002, 0.4841))


def test_names_and_parents_belong_together():
    names = {
        "pelvis": "Hip",
        "shank_l": "LeftLeg",
        "shoulder_r": "RightShoulder",
        "upper_arm_l": "LeftArm",
        "forearm_r": "RightForeArm",
        "foot_l": "LeftFoot",
    }
    for name, movi in names.items():
        assert MOVI_JOINTS[name] == movi
    parents = {"trunk": "pelvis", "foot_l": "shank_l", "hand_r": "forearm_r", "shank_r": "thigh_r"}
    parents |= {"shoulder_l": "trunk", "upper_arm_r": "shoulder_r", "thigh_l": "pelvis"}
    for name, parent in parents.items():
        assert body.PARENT[body.SEGMENTS.index(name)] == body.SEGMENTS.index(parent)
    assert list(body.SEGMENTS) == list(MOVI_JOINTS)
    assert len(body.SEGMENTS) == len(body.PARENT) == len(set(MOVI_JOINTS.values())) == 17


@pytest.mark.parametrize("sex", SEXES)
def test_segments_sum_to_the_body_and_have_the_published_masses(sex, eps):
    who = person(sex, MASS[sex], STATURE[sex])
    assert abs(who.segment_mass.sum() / MASS[sex] - 1) < eps
    for name, published in MEASURED.items():
        masses = who.segment_mass[[n.startswith(name) for n in body.SEGMENTS]]
        np.testing.assert_allclose(masses, published[sex][0], rtol=0.02, atol=0.085, err_msg=name)
    trunk = sum(who.segment_mass[body.INDEX[n]] for n in ("pelvis", "trunk"))
    trunk += 2 * who.segment_mass[body.INDEX["shoulder_r"]]
    np.testing.assert_allclose(trunk / MASS[sex], WHOLE_TRUNK[sex][1] / 100, rtol=3e-4)
    np.testing.assert_allclose(who.segment_mass[body.INDEX["shoulder_l"]], 0.0158 * MASS[sex], 1e-5)


@pytest.mark.parametrize("sex", SEXES)
def test_the_inertias_are_the_measured_ones(sex):
    """At the mean mass and stature of the sample, but for our scale of the lengths."""
    who = person(sex, MASS[sex], STATURE[sex])
    column = STATURE[sex] * 1000 / (PRINTED_COLUMN[sex] + 0.039 * STATURE[sex] * 1000)
    scale = dict.fromkeys(MEASURED, column) | dict.fromkeys(("hand", "forearm", "upper_arm"), 1.0)
    scale["foot"] = 0.152 * STATURE[sex] * 1000 / PRINTED_FOOT[sex]
    for name, published in MEASURED.items():
        mass, *moments = published[sex]
        segment = body.SEGMENTS.index(name if name in body.SEGMENTS else f"{name}_l")
        truth = np.array(moments)[AXES.get(name, [0, 1, 2])] * 1e-4 * scale[name] ** 2
        truth *= who.segment_mass[segment] / mass  # the printed masses have two digits
        np.testing.assert_allclose(who.inertia[segment], truth, rtol=0.035, err_msg=name)


@pytest.mark.parametrize("sex", SEXES)
def test_pelvis_trunk_and_shoulders_are_the_whole_trunk_of_the_table(sex):
    who = person(sex, MASS[sex], STATURE[sex])
    length, share, centre, *radii = WHOLE_TRUNK[sex]
    length *= 1e-3 * STATURE[sex] / (PRINTED_COLUMN[sex] / 1000 + 0.039 * STATURE[sex])
    mass, com, tensor = point_masses(who, ("pelvis", "trunk", "shoulder_r", "shoulder_l"))
    np.testing.assert_allclose(mass, share / 100 * MASS[sex], rtol=3e-4)
    above_hips = com[2] - origins(who)[0, 2]
    # The men's three parts as printed have their centre 3 mm below that of the printed whole.
    np.testing.assert_allclose(above_hips, (1 - centre / 100) * length, atol=0.0035)
    np.testing.assert_allclose(tensor, np.diag(np.diag(tensor)), atol=1e-6)
    estimates = np.sqrt(np.diag(tensor) / mass) / length * 100
    np.testing.assert_allclose(estimates, radii, rtol=0.01)


@pytest.mark.parametrize("sex", SEXES)
def test_taking_the_shoulders_out_leaves_the_trunk_as_it_was(sex):
    who = person(sex, MASS[sex], STATURE[sex])
    scale = 1e-3 * STATURE[sex] / (PRINTED_COLUMN[sex] / 1000 + 0.039 * STATURE[sex])
    parts = np.array(TRUNK_PARTS[sex]) * [scale, MASS[sex] / 100, *[0.01] * 4]
    middle, upper = parts
    heights = np.array([middle[0] * (1 - middle[2]), middle[0] + upper[0] * (1 - upper[2])])
    mass = parts[:, 1].sum()
    centre = parts[:, 1] @ heights / mass
    moments = parts[:, 1] @ (parts[:, 3:] * parts[:, :1]) ** 2
    moments[:2] += parts[:, 1] @ (heights - centre) ** 2
    mass_of_parts, com, tensor = point_masses(who, ("trunk", "shoulder_r", "shoulder_l"))
    np.testing.assert_allclose(mass_of_parts, mass, rtol=2e-4)
    np.testing.assert_allclose(com[2] - origins(who)[1, 2], centre, atol=1e-4)
    np.testing.assert_allclose(np.diag(tensor), moments, rtol=0.005)


@pytest.mark.parametrize("sex", SEXES)
def test_sole_to_vertex_is_the_stature(sex, eps):
    for height in (1.5, 1.75, 2.0):
        assert abs(vertex(person(sex, height=height)) - height) < 3 * eps
    people = crowd(2)
    for i in range(50):
        assert abs(vertex(member(people, i)) - people.height[i]) < 3 * eps


def test_a_man_and_a_woman_of_the_table():
    """Lengths of the scanned sample's mean people, after the fit of the column to the stature."""
    thigh, shank = body.leg_lengths(person(1, 73.0, 1.741))
    np.testing.assert_allclose((thigh, shank), (0.4137, 0.4315), atol=5e-5)  # .9800 of the printed
    thigh, shank = body.leg_lengths(person(0, 61.9, 1.735))
    np.testing.assert_allclose((thigh, shank), (0.3689, 0.4390), atol=5e-5)  # 1.0010 of the printed
    man, index = person(1, 73.0, 1.741), body.INDEX
    lengths = -man.joint[[index["forearm_r"], index["hand_l"]], 2]
    np.testing.assert_allclose(lengths, (0.2817, 0.2689), rtol=1e-5)
    com = man.com[[index["thigh_r"], index["shank_r"], index["hand_r"]], 2]
    np.testing.assert_allclose(com, (-0.1694, -0.1896, -0.0862 * 0.79), atol=1e-4)
    np.testing.assert_allclose(man.toe[0, 0] - man.heel[0, 0], 0.152 * 1.741, rtol=1e-5)
    foot = man.com[index["foot_l"]] - man.heel[1]
    np.testing.assert_allclose(foot[0], 0.4415 * 0.152 * 1.741, rtol=1e-5)
    np.testing.assert_allclose(foot[2], -man.heel[1, 2] / 2, rtol=1e-5)
    np.testing.assert_allclose(man.joint[index["thigh_l"]], (0, 0.08705, 0), rtol=1e-5)
    # Winter 2009: heights of hip, knee and shoulder are .530, .285 and .818 of the stature.
    place = origins(man)[:, 2] / 1.741
    shares = place[[index["thigh_r"], index["shank_r"], index["upper_arm_r"]]]
    np.testing.assert_allclose(shares, (0.530, 0.285, 0.818), atol=0.012)


@pytest.mark.parametrize(("inches", "pounds", "below", "moments"), STANDING)
def test_standing_men_have_measured_centres_and_moments(inches, pounds, below, moments):
    man = person(1, pounds * 0.45359237, inches * 0.0254)
    _, centre, tensor = point_masses(man, body.SEGMENTS)
    assert abs(centre[2] / man.height - (1 - below / inches)) < 0.012
    ratios = np.diag(tensor) / (np.array(moments) * 0.112985)
    np.testing.assert_allclose(ratios[:2], 1, atol=0.13)
    # About the long axis the arms count most, and how far from the body the men held them.
    np.testing.assert_allclose(ratios[2], 1, atol=0.3)


@pytest.mark.parametrize("sex", SEXES)
def test_the_centre_of_mass_stands_where_people_have_it(sex):
    _, centre, _ = point_masses(person(sex), body.SEGMENTS)
    share = centre[2] / 1.75
    assert (0.54, 0.55)[sex] < share < (0.56, 0.58)[sex]  # lower in women
    assert abs(centre[1]) < 1e-6
    assert -0.01 < centre[0] < 0.05  # above the soles


@pytest.mark.parametrize("sex", SEXES)
def test_left_mirrors_right(sex):
    who = person(sex)
    right, left = slice(3, 17, 2), slice(4, 17, 2)
    np.testing.assert_array_equal(who.segment_mass[right], who.segment_mass[left])
    np.testing.assert_array_equal(who.inertia[right], who.inertia[left])
    for vectors in (who.com, who.joint):
        np.testing.assert_array_equal(vectors[right] * [1, -1, 1], vectors[left])
        np.testing.assert_array_equal(vectors[:3, :2], np.zeros((3, 2)))
    for sole in (who.heel, who.ball, who.toe):
        np.testing.assert_array_equal(sole[0] * [1, -1, 1], sole[1])
    assert who.joint[body.INDEX["thigh_r"], 1] < 0
    assert who.joint[body.INDEX["shoulder_r"], 1] < 0
    assert who.heel[0, 0] < 0 < who.ball[0, 0] < who.toe[0, 0]


def test_standard_scales_as_mass_and_length_do(eps):
    small, large = person(1, 50.0, 1.6), person(1, 100.0, 1.92)
    np.testing.assert_allclose(large.joint, small.joint * 1.2, atol=2 * eps)
    np.testing.assert_allclose(large.com, small.com * 1.2, atol=2 * eps)
    np.testing.assert_allclose(large.inertia, small.inertia * 2 * 1.2**2, rtol=50 * eps)
    np.testing.assert_allclose(large.speed, small.speed * np.sqrt(1.2), rtol=2 * eps)
    # The leg of 0.9 m belongs to a man of 1.7186 m: hip height .5237 of the stature.
    np.testing.assert_allclose(person(1, 60, 1.7186).speed, 1.40, atol=1e-4)


def test_draws_have_the_stated_distributions():
    people, cut = crowd(5), stats.truncnorm(-2.5, 2.5)

    def check(values, mean, sd):
        z = (values - mean) / sd
        assert np.abs(z).max() < 2.5 + 1e-4
        assert abs(z.mean()) < 4 * cut.std() / np.sqrt(len(z))
        assert abs(z.std() - cut.std()) < 4 * cut.std() / np.sqrt(len(z))
        assert stats.kstest(z[:2000], cut.cdf).pvalue > 1e-3

    assert set(people.male) == {0, 1}
    assert abs(people.male.mean() - 0.5) < 4 * 0.5 / np.sqrt(CROWD)
    check(people.height[people.male == 0], 1.63, 0.064)
    check(people.height[people.male == 1], 1.76, 0.069)
    check(people.mass / people.height**2, 23.0, 2.2)
    thigh, shank = body.leg_lengths(people)
    leg = thigh + shank - people.heel[:, 0, 2]
    check(people.speed / np.sqrt(leg / 0.9), 1.40, 0.15)
    check(np.log(people.asymmetry[:, 0]), 0, 0.02)
    np.testing.assert_allclose(people.asymmetry.prod(1), 1, atol=1e-6)
    index = body.INDEX
    stature = np.where(people.male, 1741, 1735)
    arm = -people.joint[:, index["forearm_r"], 2] / people.height * stature
    check(arm / np.where(people.male, 281.7, 275.1), 1, 0.03)
    check((people.toe - people.heel)[:, 0, 0] / people.height / 0.152, 1, 0.03)
    check(people.joint[:, index["thigh_l"], 1] / people.height / 0.05, 1, 0.03)
    men = people.male == 1  # within one sex all draws are independent of one another
    bmi, froude = people.mass / people.height**2, people.speed / np.sqrt(leg)
    ankle, right = people.heel[:, 0, 2] / people.height, people.asymmetry[:, 0]
    drawn = np.stack([people.height, bmi, froude, right, ankle, arm])
    assert np.abs(np.corrcoef(drawn[:, men]) - np.eye(6)).max() < 4 / np.sqrt(men.sum())


def test_a_long_segment_shortens_the_rest_of_the_column():
    """To first order the share of a segment is its factor less the mean factor, by the shares."""
    people = crowd(6, body.PEOPLE | {"male": 1.0})
    column = np.array([67.9, 440.3, 422.2, 145.7, 457.6, 242.9]) / 1776.6
    change = np.eye(6) - column
    covariance = change @ change.T
    expected = covariance[1, 2] / np.sqrt(covariance[1, 1] * covariance[2, 2])  # -.38
    thigh, shank = (length / people.height for length in body.leg_lengths(people))
    assert abs(np.corrcoef(thigh, shank)[0, 1] - expected) < 0.03
    sd = 0.03 * stats.truncnorm(-2.5, 2.5).std() * np.sqrt(covariance[2, 2])
    np.testing.assert_allclose(thigh.std() / thigh.mean(), sd, rtol=0.03)


def test_every_body_drawn_is_possible(eps):
    wild = body.PEOPLE | {"proportion": 0.06, "height": {"female": (1.6, 0.1), "male": (1.8, 0.1)}}
    for people in (body.PEOPLE, wild):
        drawn = crowd(3, people)
        moments = drawn.inertia
        assert (moments > 0).all()
        assert (2 * moments.max(-1) < moments.sum(-1)).all()  # of a real distribution of mass
        assert (drawn.segment_mass > 0).all()
        np.testing.assert_allclose(drawn.segment_mass.sum(1) / drawn.mass, 1, atol=eps)
        assert all(np.isfinite(value).all() for value in drawn)
    who = member(drawn, 17)
    mass, com, _ = point_masses(who, ("trunk", "shoulder_r", "shoulder_l"))
    assert abs(com[1]) < 1e-6 and mass > who.segment_mass[1]


def test_the_key_and_the_population_say_who_comes():
    first = crowd(9)
    for a, b in zip(first, crowd(9), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.isclose(first.mass[:20], crowd(10).mass[:20]).any()
    alike = body.PEOPLE | {"male": 1.0, "proportion": 0.0, "asymmetry": 0.0, "speed": (1.40, 0.0)}
    alike |= {"bmi": (24.0, 0.0), "height": {"female": (1.6, 0.0), "male": (1.8, 0.0)}}
    for a, b in zip(crowd(9, alike), person(1, 24 * 1.8**2, 1.8), strict=True):
        np.testing.assert_allclose(a[:3], np.stack([b] * 3), atol=1e-5)
    with pytest.raises(UserError, match="exactly asymmetry, bmi"):
        crowd(9, {"male": 0.5})


def test_shapes_and_transformations():
    keys = jax.random.split(jax.random.key(1), 2)
    draw = jax.jit(body.random_people, static_argnums=1)
    people = draw(keys[1], 7)
    shapes = {"segment_mass": (17,), "com": (17, 3), "inertia": (17, 3), "joint": (17, 3)}
    shapes |= {"heel": (2, 3), "ball": (2, 3), "toe": (2, 3), "asymmetry": (2,)}
    default = np.asarray(jax.numpy.zeros(())).dtype
    for name, value in people._asdict().items():
        assert value.shape == (7, *shapes.get(name, ())), name
        assert value.dtype == default, name
    several = jax.vmap(draw, (0, None))(keys, 7)
    assert several.joint.shape == (2, 7, 17, 3)
    for value, expected in zip(several, people, strict=True):
        np.testing.assert_allclose(value[1], expected, rtol=1e-5, atol=1e-6)
    thigh, shank = body.leg_lengths(several)
    assert thigh.shape == shank.shape == (2, 7)
    table = jax.vmap(body.standard)(people.mass, people.height, people.male)
    for i in range(7):
        expected = body.standard(people.mass[i], people.height[i], people.male[i])
        np.testing.assert_allclose(table.inertia[i], expected.inertia, rtol=1e-5)
