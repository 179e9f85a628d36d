"""The picture of a movement: points and arrows against bodies put together by hand, and files."""

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.simulate import picture, scene
from imujax.simulate.body import PARENT, SEGMENTS, Body, standard
from imujax.simulate.dynamics import Loads
from imujax.simulate.skeleton import Kinematics

AT = {name: i for i, name in enumerate(SEGMENTS)}
STEP, STANCE, SPEED = 0.5, 0.6, 1.3  # s, s, m/s


@pytest.fixture(scope="module")
def body():
    return Body(*(np.asarray(x, float) for x in standard(70.0, 1.75, 1.0)))


def turn_segments(body, turns, pelvis):
    """Kinematics of segments turned by `turns` [17, T, 3, 3] in the world, joint after joint."""
    origin = [pelvis]
    for i in range(1, len(SEGMENTS)):
        parent = PARENT[i]
        origin.append(origin[parent] + np.einsum("tij,j->ti", turns[parent], body.joint[i]))
    position = np.stack(origin).swapaxes(1, 2)
    rotation = np.moveaxis(turns, 1, -1)
    nothing = np.zeros_like(position), np.zeros_like(position)
    return Kinematics(position, *nothing, rotation, *[np.zeros_like(rotation)] * 2)


def standing(body, samples=3):
    hip = -body.joint[[AT["shank_r"], AT["foot_r"]], 2].sum() - body.heel[0, 2]
    turns = np.tile(np.eye(3), (len(SEGMENTS), samples, 1, 1))
    return turn_segments(body, turns, np.tile([0.0, 0.0, hip], (samples, 1)))


def walking(body, seconds=3.0, rate=100, rise=0.0):
    """Scissoring legs with forces like half sines, uphill by `rise` metres a metre."""
    t = np.arange(round(seconds * rate)) / rate
    angles = np.zeros((len(SEGMENTS), len(t)))
    for side, shift in (("r", 0.0), ("l", 0.5)):
        phase = 2 * np.pi * (t / (2 * STEP) + shift)
        angles[AT[f"thigh_{side}"]] = -0.4 * np.cos(phase)
        angles[AT[f"shank_{side}"]] = -0.4 * np.cos(phase) + 0.5 * np.sin(phase / 2) ** 2
        for part in ("upper_arm", "forearm", "hand"):
            angles[AT[f"{part}_{side}"]] = 0.4 * np.cos(phase)
    turns = Rotation.from_euler("y", angles.reshape(-1, 1)).as_matrix()
    x = SPEED * t
    pelvis = np.stack([x, 0 * t, 0.9 + rise * x], 1)
    kin = turn_segments(body, turns.reshape(*angles.shape, 3, 3), pelvis)
    force, cop = np.zeros((2, 3, len(t))), np.zeros((2, 3, len(t)))
    for side, start in ((0, 0.1), (1, 0.1 - STEP)):
        since = (t - start) % (2 * STEP)
        share = since / STANCE
        landed = SPEED * (t - since) + 0.3
        force[side, 2] = np.where(share < 1, 1.3 * 70 * G * np.sin(np.pi * share), 0)
        force[side, 0] = np.where(share < 1, -0.2 * 70 * G * np.sin(2 * np.pi * share), 0)
        cop[side, 0] = landed + 0.2 * np.minimum(share, 1)
        cop[side, 1] = (-0.05, 0.05)[side]
        cop[side, 2] = rise * cop[side, 0]
    return t, kin, Loads(force, cop, np.zeros((2, len(t))))


def signals(t, loads):
    weight = 70 * G
    axes = np.stack([np.sin(5 * t), np.cos(7 * t), 9.8 + np.sin(9 * t)], 1)
    return {
        "Vertical ground force": (t, loads.force[:, 2].T / weight, ("right", "left"), "BW"),
        "Fore-aft ground force": (t, loads.force[:, 0].T / weight, ("right", "left"), "BW"),
        "Knee flexion": (t, np.stack([t, -t], 1), ("right", "left"), "deg"),
        "Right shank": (t, axes, ("forwards", "leftwards", "upwards"), "m/s^2"),
    }


def test_joints_of_a_standing_person(body):
    at = scene.body_points(body, standing(body))
    for name in ("heel", "ball", "toe"):
        np.testing.assert_allclose(at[name][:, 2], 0, atol=1e-6)
    np.testing.assert_allclose(at["head_top"][2], 1.75, atol=1e-6)
    np.testing.assert_allclose(at["toe"][:, 0] - at["heel"][:, 0], 0.152 * 1.75, atol=1e-6)
    # de Leva's men of 1741 mm have hands of 187.9 mm, wrist to the tip of the middle finger.
    hand = at["wrist"][:, 2] - at["finger_tip"][:, 2]
    np.testing.assert_allclose(hand, 187.9 / 1741 * 1.75, rtol=1e-5)
    assert (at["shoulder"][0, 1] < 0).all()
    assert (at["shoulder"][1, 1] > 0).all()


def test_joints_move_with_their_segments(body):
    turns = Rotation.random(len(SEGMENTS) * 4, random_state=3).as_matrix().reshape(-1, 4, 3, 3)
    kin = turn_segments(body, turns, np.arange(12.0).reshape(4, 3))
    at = scene.body_points(body, kin)
    standing_points = scene.body_points(body, standing(body))
    owners = {
        ("hip", "knee"): "thigh",
        ("knee", "ankle"): "shank",
        ("ankle", "ball"): "foot",
        ("ankle", "heel"): "foot",
        ("shoulder", "elbow"): "upper_arm",
        ("elbow", "wrist"): "forearm",
        ("wrist", "finger_tip"): "hand",
    }
    for (first, last), segment in owners.items():
        for side, letter in enumerate("rl"):
            bone = standing_points[last][side, :, 0] - standing_points[first][side, :, 0]
            bone_now = at[last][side] - at[first][side]
            np.testing.assert_allclose(
                bone_now.T, turns[AT[f"{segment}_{letter}"]] @ bone, atol=1e-6
            )
    for first, last, segment in (("waist", "neck", "trunk"), ("neck", "head_top", "head")):
        bone = standing_points[last][:, 0] - standing_points[first][:, 0]
        np.testing.assert_allclose((at[last] - at[first]).T, turns[AT[segment]] @ bone, atol=1e-6)
    np.testing.assert_array_equal(at["pelvis"], kin.position[0])


def test_arrows_are_as_long_as_the_forces(body):
    rng = np.random.default_rng(0)
    force = rng.uniform(50, 1500, (2, 3, 20))
    loads = Loads(force, rng.normal(size=(2, 3, 20)), np.zeros((2, 20)))
    tail, tip = scene.force_arrows(body, loads)
    np.testing.assert_array_equal(tail, loads.cop)
    per_newton = (tip - tail) / force
    np.testing.assert_allclose(per_newton, scene.ARROW * 1.75 / (70 * G), rtol=1e-6)


def test_no_arrow_where_a_foot_hardly_touches(body):
    force = np.zeros((2, 3, 2))
    force[:, :, 0] = (200.0, 0.0, 0.03 * 70 * G)
    force[1, 2, 1] = 70 * G
    tail, tip = scene.force_arrows(body, Loads(force, np.ones((2, 3, 2)), np.zeros((2, 2))))
    lengths = np.linalg.norm(tip - tail, axis=1)
    np.testing.assert_allclose(lengths, [[0, 0], [0, scene.ARROW * 1.75]], rtol=1e-6)


def test_a_drawn_arrow_begins_and_ends_at_its_ends():
    outline = scene.arrow_outline(np.array((1.0, 2.0)), np.array((1.6, 2.8)), 0.02)
    np.testing.assert_allclose(outline[3], (1.6, 2.8))
    np.testing.assert_allclose((outline[0] + outline[-1]) / 2, (1.0, 2.0))
    np.testing.assert_allclose(np.linalg.norm(outline[0] - outline[-1]), 0.02)
    short = scene.arrow_outline(np.zeros(2), np.array((0.0, 0.03)), 0.02)
    assert short[:, 1].min() == 0
    assert short[:, 1].max() == 0.03


@pytest.mark.parametrize("rise", [0.0, 0.15, -0.1])
def test_footholds_of_a_ramp(body, rise):
    _, _, loads = walking(body, rise=rise)
    holds = np.array(scene.footholds(body, loads))
    assert len(holds) == 7  # one every half second, three of them cut by the ends
    np.testing.assert_allclose(holds[:, 1], rise * holds[:, 0], atol=1e-9)
    np.testing.assert_allclose(holds[:, 2], rise, atol=1e-9)
    x, z = scene._surface([tuple(hold) for hold in holds])
    np.testing.assert_allclose(z, rise * x, atol=1e-9)


def test_steps_have_risers_between_the_footholds():
    x, z = scene._surface([(0.0, 0.0, 0.0), (0.6, 0.15, 0.0), (1.2, 0.16, 0.0)])
    np.testing.assert_allclose(x[1:-1], [0.3, 0.3, 0.9])
    np.testing.assert_allclose(z, [0, 0, 0.15, 0.155, 0.16])


def test_the_sagittal_plane_keeps_its_shape_and_the_right_side_is_near():
    points = np.array([[0.3, 0, 1.2], [-0.5, 0, 0.1], [0.3, 0.2, 1.2], [0.3, -0.2, 1.2]]).T
    across, up, near = scene._project(points)
    np.testing.assert_allclose(across[:2], points[0, :2])
    np.testing.assert_allclose(up[:2], points[2, :2])
    assert near[3] > near[0] > near[2]


def test_near_limbs_hide_far_ones(body):
    stage = scene.make_stage(body, np.arange(3.0), standing(body), None)
    colours = [colour for _, colour, _ in scene.person_shapes(stage, 0)]
    right, left = (
        np.flatnonzero([c == colour for c in colours]) for colour in scene.SIDES.values()
    )
    assert len(right) == len(left) == 6
    assert left.max() < right.min()


def test_without_forces_the_ground_is_below_the_feet(body):
    stage = scene.make_stage(body, np.arange(3.0), standing(body), None)
    np.testing.assert_allclose(stage.ground[1], 0, atol=1e-6)
    np.testing.assert_allclose(stage.origin, 0, atol=1e-6)


def test_png_shows_the_stride_from_a_strike_on(body, tmp_path, monkeypatch):
    figures = []
    png = picture.drawing.png
    monkeypatch.setattr(picture.drawing, "png", lambda f, **o: figures.append(f) or png(f, **o))
    t, kin, loads = walking(body)
    path = picture.show(
        tmp_path / "new" / "walk.png", body, t, kin, loads, signals(t, loads), "walking"
    )
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert [file.name for file in path.parent.iterdir()] == ["walk.png"]
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] == 1600
    assert 1000 < pixels.shape[0] < 1600
    for colour in [*scene.SIDES.values(), scene.FLESH, picture.INK]:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - rgb).sum(-1) < 6).sum() > 1500, colour
    (figure,) = figures
    assert figure.texts[0].get_text() == "Simulated: walking"
    row, *traces = figure.axes
    assert len(row.collections) == picture.PERSONS + 1  # and the key
    assert [ax.get_title(loc="left") for ax in traces][-1] == "Right shank [m/s\u00b2]"
    times = sorted(line.get_xdata()[0] for line in figure.artists)
    limits = np.array(traces[0].get_xlim())
    left, _, width, _ = traces[0].get_position().bounds
    times = limits[0] + (np.array(times) - left) / width * np.ptp(limits)
    np.testing.assert_allclose(np.diff(times), 2 * STEP / picture.PER_STRIDE, atol=0.011)
    # The strike at .1 s has no room before it; 5 % of the weight are there a sample later.
    assert times[0] == pytest.approx(1.12, abs=0.011)


def test_gif_moves_in_real_time(body, tmp_path):
    t, kin, loads = walking(body)
    path = picture.show(tmp_path / "walk.gif", body, t, kin, loads, signals(t, loads), "walking")
    assert path.read_bytes()[:6] == b"GIF89a"
    assert path.stat().st_size < 3e6
    with Image.open(path) as image:
        assert image.n_frames == 75
        assert image.info["duration"] == 40
        frames = []
        for i in (0, 10, 30):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
    assert (frames[0][:3] == 255).all()
    person = int(picture.GIF_SIZE[0] * picture.DPI * 0.38)
    for other in frames[1:]:
        changed = np.abs(frames[0] - other).sum(-1) > 60
        assert changed[:, :person].sum() > 3000
        assert 0 < changed[:, person:].any(0).sum() < 12  # the cursor's two places, nothing else


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_without_forces_and_signals(body, tmp_path, kind):
    t, kin, _ = walking(body, seconds=0.5)
    path = picture.show(tmp_path / f"still.{kind}", body, t, kin, None, {}, "a movement")
    with Image.open(path) as image:
        assert len(set(np.asarray(image.convert("L")).ravel())) > 20


def test_same_bytes_for_the_same_movement(body, tmp_path):
    t, kin, loads = walking(body, seconds=0.6, rise=0.1)
    for kind in ("png", "gif"):
        first, second = (
            picture.show(tmp_path / f"{n}.{kind}", body, t, kin, loads, signals(t, loads), "ramp")
            for n in range(2)
        )
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["walk.svg", "walk", "walk.png.txt"])
def test_another_ending_is_an_error(body, tmp_path, name):
    t, kin, loads = walking(body, seconds=0.3)
    with pytest.raises(UserError, match=r"end it in \.png or \.gif"):
        picture.show(tmp_path / name, body, t, kin, loads, {}, "walking")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_an_error(body, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    t, kin, loads = walking(body, seconds=0.3)
    for name in ("file/walk.png", "folder.png"):
        with pytest.raises(UserError, match="cannot be written"):
            picture.show(tmp_path / name, body, t, kin, loads, {}, "walking")
    assert len(list(tmp_path.rglob("*"))) == 2
