"""What moves an estimate: closed forms, PyTorch in float64, all permutations, and the picture."""

import itertools
import types
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import draws
from matplotlib.image import imread

from imujax import UserError
from imujax.models import attributions, explanation, model, parts
from imujax.nets import networks, resnet, towers
from imujax.nets.settings import NetSettings
from imujax.runtime.fields import setting
from imujax.sweep import fitting, ridge

SAMPLES, SENSORS = 24, 2
LENGTH = np.array([24, 19, 24])
SCALES = {"acc": {"mean": 3.0, "sd": 4.0}, "gyr": {"mean": 0.1, "sd": 0.8}}
MEAN, SD = 50.0, 7.0  # of the target [N]


def windows(count=3, sensors=SENSORS, seed=2):
    """Units that lie still but for noise: m/s^2 with gravity, and rad/s."""
    shape = (count, SAMPLES, sensors, 3)
    acc = 3 * draws.windows(*shape, seed=seed) + np.float32([0, 9.81, 0])
    return acc, draws.windows(*shape, seed=seed + 1)


def make_model(*members, weights=(1.0,), sensors=SENSORS, before=None):
    card = {
        "parts": [{"weight": weight} for weight in weights],
        "targets": [{"name": "peak force", "unit": "N", "range": [40.0, 60.0]}],
        "sensors": [f"unit {k}" for k in range(sensors)],
        "window": SAMPLES,
        "rate": 100.0,
        "before": before,
    }
    return model.Model(card, members)


def make_network(net, is_masked=True, sensors=SENSORS, classes=0):
    """A network with weights drawn by NumPy."""
    some, outputs = windows(2, sensors), classes or 1
    variables = draws.variables(towers.Regressor(net, outputs), *some, LENGTH[:2])
    params, stats = variables["params"], variables.get("batch_stats", {})
    moments = ([0.0] * classes, [1.0] * classes) if classes else ([MEAN], [SD])
    fitted = fitting.FittedNetwork(net, params, stats, SCALES, *moments, {})
    return parts.NetworkPart(fitted, is_masked, bool(classes))


@pytest.fixture(scope="module")
def network():
    return make_network(resnet.tiny() | {"stages": (1,)})


@pytest.fixture(scope="module")
def explained(network):
    """The windows, the model, and what it says of them."""
    kept = make_model(network)
    return kept, kept.explain(*windows(), LENGTH)


class Function:
    """A part without gradients: a function of acc and gyr [L, S, 3] of each window."""

    def __init__(self, function):
        self.function, self.most = function, 0

    def estimate(self, acc, gyr, length):
        self.most = max(self.most, len(acc))
        pairs = zip(acc.astype(np.float64), gyr.astype(np.float64), length, strict=True)
        return np.array([self.function(a[:n], g[:n]) for a, g, n in pairs])[:, None]


def still(acc, gyr, length):
    """The baseline by its definition, window after window."""
    held = [np.zeros_like(acc, dtype=np.float64), np.zeros_like(gyr, dtype=np.float64)]
    for n, valid in enumerate(length):
        held[0][n, :valid] = acc[n, :valid].astype(np.float64).mean(axis=0)
    return held


@dataclass(frozen=True)
class LinearSettings(NetSettings):
    """Of a linear network."""

    features: int = setting(2, "channels", least=1)


class Linear(nn.Module):
    """All samples that are valid, weighted."""

    features: int

    @property
    def embedding(self):
        return self.features

    @nn.compact
    def __call__(self, x, length=None, train=False):
        if length is not None:
            x = jnp.where((jnp.arange(x.shape[1])[None] < length[:, None])[..., None], x, 0)
        return nn.Dense(self.features)(x.reshape(len(x), -1))


@pytest.fixture
def linear(monkeypatch):
    """The configuration of a network of LinearSettings."""
    entry = types.SimpleNamespace(
        SETTINGS=LinearSettings, make_encoder=lambda fields, name: Linear(**fields, name=name)
    )
    monkeypatch.setitem(networks.NETWORKS, "linear", entry)
    return {"network": "linear"}


@pytest.mark.parametrize("is_masked", [True, False])
def test_a_linear_network_is_told_exactly(linear, is_masked, monkeypatch):
    """Each weight times what the sample differs by from the window held still, in the unit.

    Beyond the length nothing does, whether the network looks there or not.
    """
    part = make_network(linear, is_masked)
    calls, real = [], attributions._sum_gradients
    monkeypatch.setattr(
        attributions, "_sum_gradients", lambda *args: calls.append(1) or real(*args)
    )
    acc, gyr = windows()
    made = make_model(part).explain(acc, gyr, LENGTH)
    assert len(calls) == len(acc)  # the first points suffice
    params = part.fitted.params
    output = params["output"]["kernel"].astype(np.float64).reshape(SENSORS, 2, 2)
    baseline = still(acc, gyr, LENGTH)
    for k, name in enumerate(("acc", "gyr")):
        kernel = params[f"{name}_encoder"]["Dense_0"]["kernel"].astype(np.float64)
        kernel = kernel.reshape(SAMPLES, 3, 2)
        weight = np.einsum("laf,sf->lsa", kernel, output[:, k]) * SD / SCALES[name]["sd"]
        inside = (np.arange(SAMPLES) < LENGTH[:, None])[..., None, None]
        expected = weight * ((acc, gyr)[k] - baseline[k]) * inside
        np.testing.assert_allclose(getattr(made, name), expected, atol=2e-5)
    np.testing.assert_allclose(made.rest, 0, atol=1e-4)
    assert (made.error == 0).all()


def test_gradients_along_the_path_are_those_of_pytorch():
    """In float64, by autograd at 600 points."""
    torch = pytest.importorskip("torch")
    from helpers import torch_nets

    net = resnet.tiny("none") | {"stages": (1,)}
    part = make_network(net)
    (acc,), (gyr,) = (x[:1] for x in windows())
    made = make_model(part).explain(acc[None], gyr[None])
    params, stats = part.fitted.params, part.fitted.stats
    held = [x[0] for x in still(acc[None], gyr[None], [SAMPLES])]
    points = torch.from_numpy((np.arange(600) + 0.5) / 600)[:, None, None, None]
    embedded, paths = [], []
    for name, moving, start in zip(("acc", "gyr"), (acc, gyr), held, strict=True):
        key = f"{name}_encoder"
        own = {"params": params[key], "batch_stats": stats.get(key, {})}
        tower = torch_nets.load_weights(torch_nets.build_net(net), own).double().eval()
        start, end = (torch.from_numpy(np.float64(x))[None] for x in (start, moving))
        paths.append((start + points * (end - start)).requires_grad_())
        x = (paths[-1] - SCALES[name]["mean"]) / SCALES[name]["sd"]  # [points, L, S, 3]
        h = tower(x.permute(0, 2, 3, 1).reshape(-1, 3, SAMPLES))
        embedded.append(h.reshape(len(points), SENSORS, -1))
    features = torch.stack(embedded, 2).reshape(len(points), -1)
    output = params["output"]
    weight = torch.from_numpy(np.float64(output["kernel"]))
    (SD * (features @ weight)).sum().backward()
    for name, moving, start, path in zip(("acc", "gyr"), (acc, gyr), held, paths, strict=True):
        expected = (moving - start) * path.grad.numpy().mean(axis=0)
        np.testing.assert_allclose(
            getattr(made, name)[0], expected, atol=0.02 * np.abs(expected).max()
        )


def test_the_shares_of_a_network_add_up(explained):
    """To the difference of the estimates, within 1 % of it or of a hundredth of the range."""
    kept, made = explained
    acc, gyr = windows()
    inside = (np.arange(SAMPLES) < LENGTH[:, None])[..., None, None]
    baseline = [np.float32(x) for x in still(acc, gyr, LENGTH)]
    np.testing.assert_allclose(
        made.estimate, kept.estimate(acc * inside, gyr * inside, LENGTH)[:, 0], rtol=1e-6
    )
    np.testing.assert_allclose(made.baseline, kept.estimate(*baseline, LENGTH)[:, 0], rtol=1e-6)
    difference, added = made.estimate - made.baseline, made.sums().sum(axis=(1, 2))
    assert (np.abs(difference) > 0.2).all()
    np.testing.assert_allclose(made.rest, difference - added, atol=1e-9)
    assert (np.abs(difference - added) <= 0.01 * np.maximum(np.abs(difference), 0.2)).all()
    for x in (made.acc, made.gyr):
        assert x.shape == (3, SAMPLES, SENSORS, 3) and not x[1, 19:].any() and x[1, 18].all()


def test_more_points_are_taken_where_they_are_needed(network, monkeypatch):
    """Rounds join to the midpoints of the last; with few at most, what they miss is told."""
    rounds = list(attributions._path_points())
    assert [len(points) for points in rounds] == [64, 128, 384]
    expected = (np.arange(576) + 0.5) / 576
    np.testing.assert_allclose(np.sort(np.concatenate(rounds)), expected, rtol=1e-12)
    kept = make_model(network)
    monkeypatch.setattr(attributions, "POINTS", 1)
    rests = []
    for most in (1, 243):
        monkeypatch.setattr(attributions, "MOST_POINTS", most)
        made = kept.explain(*windows(1))
        rests.append(abs(made.rest[0]) / abs(made.estimate - made.baseline)[0])
    assert rests[0] > 0.02 and rests[1] <= 0.01


def test_sensors_are_treated_alike(network):
    """With the same output for both, exchanged sensors exchange their shares."""
    params = dict(network.fitted.params)
    kernel = params["output"]["kernel"].reshape(SENSORS, -1)
    same = np.stack([kernel[0], kernel[0]]).reshape(-1, 1)
    params["output"] = params["output"] | {"kernel": same}
    kept = make_model(parts.NetworkPart(network.fitted._replace(params=params), True))
    acc, gyr = windows()
    made, turned = kept.explain(acc, gyr), kept.explain(acc[:, :, ::-1], gyr[:, :, ::-1])
    for name in ("acc", "gyr"):
        np.testing.assert_allclose(
            getattr(turned, name), getattr(made, name)[:, :, ::-1], atol=1e-4
        )


def test_what_adds_up_is_shared_out_exactly():
    """A sum over samples, however bent: each piece has its samples' part, evenly spread."""
    slope = np.linspace(-1, 2, SENSORS * 3).reshape(SENSORS, 3)

    def bent(acc, gyr):
        return np.tanh(acc * slope), gyr**2 * slope

    part = Function(lambda acc, gyr: sum(x.sum() for x in bent(acc, gyr)))
    acc, gyr = windows()
    made = make_model(part).explain(acc, gyr, LENGTH)
    baseline = [np.float32(x) for x in still(acc, gyr, LENGTH)]
    for n, length in enumerate(LENGTH):
        edges = -(-np.arange(9) * length // 8)
        moving, held = (
            bent(a[n].astype(float), g[n].astype(float)) for a, g in ((acc, gyr), baseline)
        )
        for x, end, start in zip((made.acc[n], made.gyr[n]), moving, held, strict=True):
            pieces = np.add.reduceat((end - start)[:length], edges[:-1], axis=0)
            expected = np.repeat(pieces / np.diff(edges)[:, None, None], np.diff(edges), axis=0)
            np.testing.assert_allclose(x[:length], expected, atol=1e-9)
            assert not x[length:].any()
    np.testing.assert_allclose(made.rest, 0, atol=1e-9)
    np.testing.assert_allclose(made.error, 0, atol=1e-9)
    alone = make_model(part).explain(acc[1:2], gyr[1:2], LENGTH[1:2])
    np.testing.assert_array_equal(alone.acc[0], made.acc[1])
    assert part.most <= attributions.AT_ONCE


def test_what_works_in_twos_is_halved():
    """(sum of all pieces)^2: of each piece its square and half of its products with others."""
    rng = np.random.default_rng(0)
    size, start = rng.normal(size=30), 0.7
    values, _ = attributions.shapley(
        lambda present: (start + present @ size) ** 2, 30, (start**2, (start + size.sum()) ** 2)
    )
    np.testing.assert_allclose(values, size * (2 * start + size.sum()), atol=1e-9)


def test_what_works_in_threes_is_within_its_standard_error(monkeypatch):
    """Against all 720 orders of six pieces; the shares add up whatever chance does."""
    monkeypatch.setattr(attributions, "SURE", 0.0)
    size = np.array([1.0, -2.0, 0.5, 3.0, -0.5, 1.5])

    def value(present):
        return np.maximum(present @ size, 0.3) * (1 + present[:, 0] * present[:, 3])

    ends = tuple(value(np.array([[False] * 6, [True] * 6])))
    expected = np.zeros(6)
    for order in itertools.permutations(range(6)):
        present = np.zeros((7, 6), bool)
        for k, piece in enumerate(order):
            present[k + 1 :, piece] = True
        expected[list(order)] += np.diff(value(present)) / 720
    values, error = attributions.shapley(value, 6, ends)
    assert values.sum() == pytest.approx(ends[1] - ends[0], abs=1e-12)
    assert 0 < error < 0.2 and np.abs(values - expected).max() < 3 * error
    monkeypatch.setattr(attributions, "MOST_WINDOWS", 1)
    assert attributions.shapley(value, 6, ends)[1] > error


def test_parts_are_added_by_their_weights(network):
    """A network and a ridge: a quarter of the shares of the one, three of the other."""
    acc, gyr = windows(40, seed=8)
    seen = fitting.see("ridge", acc, gyr, np.full(40, SAMPLES))
    target = MEAN + 3 * np.abs(gyr).mean(axis=(1, 2, 3)) + acc[:, :12].max(axis=(1, 2, 3))
    fitted = ridge.SubjectRidge(0).fit(seen, target, np.repeat(["a", "b"], 20))
    reference = parts.ReferencePart("ridge", [fitted])
    both = make_model(network, reference, weights=(1.0, 3.0))
    acc, gyr = windows(2)
    made = both.explain(acc, gyr, LENGTH[:2])
    first, second = (make_model(part).explain(acc, gyr, LENGTH[:2]) for part in both.parts)
    for name in ("acc", "gyr", "estimate", "baseline", "rest", "error"):
        expected = 0.25 * getattr(first, name) + 0.75 * getattr(second, name)
        np.testing.assert_allclose(getattr(made, name), expected, atol=1e-6)
    np.testing.assert_allclose(second.rest, 0, atol=1e-9)
    assert (second.error > 0).all() and (np.abs(second.estimate - second.baseline) > 0.1).all()


def test_the_picture_has_every_axis_on_its_colour(explained, tmp_path):
    _, made = explained
    figure = made.picture(1)
    assert len(figure.axes) == SENSORS * 2 * 3 + 2
    panels, (bars, scale) = figure.axes[:-2], figure.axes[-2:]
    titles = [ax.get_title(loc="left") for ax in panels[::3]]
    assert titles[:2] == ["unit 0, acceleration [m/s²]", "unit 0, angular rate [rad/s]"]
    _, gyr = windows()
    _, curve = panels[3 + 1].lines[0].get_data()  # unit 0, gyr, y
    np.testing.assert_array_equal(curve, gyr[1, :19, 0, 1])
    colours = panels[3 + 1].collections[0].get_array().ravel()  # of one sample each
    np.testing.assert_allclose(colours, made.gyr[1, :19, 0, 1])
    assert len({ax.collections[0].get_clim() for ax in panels}) == 1
    np.testing.assert_allclose(
        [bar.get_width() for bar in bars.patches], made.sums()[1].ravel(), rtol=1e-9
    )
    assert "[N]" in scale.get_xlabel() and panels[-1].get_xlabel() == "time [s]"
    words = f"{made.estimate[1]:.3g} N; the same window held still: {made.baseline[1]:.3g} N"
    assert words in figure.texts[0].get_text() and figure.texts[1].get_text() == ""
    path = made.save(tmp_path / "new" / "why.png", 1)
    assert imread(path).shape[:2] == pytest.approx(figure.get_size_inches()[::-1] * 150, abs=1)
    assert made.save(tmp_path / "again.png", 1).read_bytes() == path.read_bytes()


def test_of_many_sensors_those_are_drawn_that_matter(tmp_path):
    """The fifth and the first, with a word on it; the event stands at 0 s."""
    part = Function(lambda acc, gyr: 9 * acc[:3, 5, 0].sum() + np.abs(gyr[:, 1]).max())
    made = make_model(part, sensors=6, before=8).explain(*windows(1, 6))
    figure = made.picture()
    drawn = {ax.get_title(loc="left").split(",")[0] for ax in figure.axes} - {""}
    assert len(drawn) == 4 and {"unit 1", "unit 5"} < drawn
    assert "the 4 of 6 sensors that move it most" in figure.texts[1].get_text()
    assert "standard error" in figure.texts[1].get_text()
    assert figure.axes[0].get_xlim() == pytest.approx((-0.085, 0.155))
    assert "time from the event [s]" in {ax.get_xlabel() for ax in figure.axes}
    assert len(figure.axes[-2].patches) == 12
    assert made.acc[0, :, 5, 0].any() and not made.acc[0, :, 5, 1:].any()


def test_a_window_that_is_still_has_nothing_to_tell(network, tmp_path):
    acc, gyr = np.zeros((2, 1, SAMPLES, SENSORS, 3), np.float32)
    acc[..., 2] = 9.81
    for part in (network, Function(lambda acc, gyr: acc.sum() + gyr.max())):
        made = make_model(part).explain(acc, gyr)
        np.testing.assert_allclose(made.estimate, made.baseline, rtol=1e-6)
        assert np.abs(made.acc).max() < 1e-4 and np.abs(made.gyr).max() < 1e-4
        assert made.save(tmp_path / "still.png").stat().st_size > 1000


def test_mistakes_are_one_sentence(explained, tmp_path):
    kept, made = explained
    acc, gyr = windows()
    with pytest.raises(UserError, match="has 1 sensors, and the model was trained on 2: unit 0"):
        kept.explain(acc[:, :, :1], gyr[:, :, :1])
    with pytest.raises(UserError, match="holds windows of 23 samples"):
        kept.explain(acc[:, 1:], gyr[:, 1:])
    with pytest.raises(UserError, match="there is no window 3: they are counted from 0 to 2"):
        made.save(tmp_path / "why.png", 3)
    with pytest.raises(UserError, match="no window -1"):
        made.picture(-1)
    with pytest.raises(UserError, match=r"why\.pdf: the picture of a window is written as \.png"):
        made.save(tmp_path / "why.pdf")
    assert not list(tmp_path.iterdir())


def test_held_still_is_the_mean_over_valid_samples():
    acc, gyr = windows()
    inside = (np.arange(SAMPLES) < LENGTH[:, None])[..., None, None]
    made = explanation.hold_still(np.stack([acc * inside, gyr * inside], axis=3), LENGTH)
    for k, expected in enumerate(still(acc, gyr, LENGTH)):
        np.testing.assert_allclose(made[..., k, :], expected, rtol=1e-6)


def test_each_target_is_explained_by_itself(network):
    """Of a network with two outputs and of a function: as one that has that output alone."""
    acc, gyr = windows(2)
    fitted, (scale, shift) = network.fitted, (-2.0, 0.5)
    output = fitted.params["output"]
    both = {
        "kernel": np.concatenate([output["kernel"], scale * output["kernel"]], axis=1),
        "bias": np.concatenate([output["bias"], scale * output["bias"] + shift]),
    }
    wide = fitted._replace(params=fitted.params | {"output": both}, mean=[MEAN, 3.0], sd=[SD, 0.2])
    tall = Function(lambda a, g: [a[:, 0, 1].max(), 5 * g[:, 0, 2].max()])
    tall.estimate = lambda *x, part=tall: Function.estimate(part, *x)[:, 0]  # [N, 2]
    two = make_model(parts.NetworkPart(wide, True), tall, weights=(0.5, 0.5))
    second = {"name": "turn", "unit": "rad/s", "range": [0.0, 1.0]}
    two.card["targets"].append(second)
    other = {"kernel": scale * output["kernel"], "bias": scale * output["bias"] + shift}
    alone = fitted._replace(params=fitted.params | {"output": other}, mean=[3.0], sd=[0.2])
    one = make_model(
        parts.NetworkPart(alone, True),
        Function(lambda a, g: 5 * g[:, 0, 2].max()),
        weights=(0.5, 0.5),
    )
    one.card["targets"] = [second]
    made, expected = two.explain(acc, gyr, target="turn"), one.explain(acc, gyr)
    assert (made.name, made.unit) == ("turn", "rad/s")
    for name in ("acc", "gyr", "estimate", "baseline"):
        np.testing.assert_allclose(getattr(made, name), getattr(expected, name), atol=1e-5)
    assert np.abs(two.explain(acc, gyr).acc - made.acc).max() > 0.1
    with pytest.raises(UserError, match="target names 'moment': there are peak force, turn"):
        two.explain(acc, gyr, target="moment")


def make_classes(*members, weights=(1.0,), words=("lying", "walking")):
    made = make_model(*members, weights=weights)
    made.card["targets"] = [{"name": "activity", "unit": "", "classes": list(words), "least": 0.1}]
    return made


def test_the_probability_of_a_class_is_told_exactly(linear, tmp_path):
    """Of two classes by log odds that are linear: each sample's share of them, of the change in p.

    Along a straight path the derivative of the logistic function is the same for all samples, and
    integrates to the change in p over that in the log odds.
    """
    part = make_network(linear, classes=2)
    fitted, (acc, gyr) = part.fitted, windows()
    kept = make_classes(part)
    mean = kept.estimate(acc, gyr, LENGTH).mean(axis=0)
    made = kept.explain(acc, gyr, LENGTH)
    assert made.name == f"probability of {('lying', 'walking')[int(mean[1] > mean[0])]}"
    made, other = (kept.explain(acc, gyr, LENGTH, word) for word in ("walking", "lying"))
    assert (made.name, made.unit) == ("probability of walking", "")
    np.testing.assert_allclose(made.acc, -other.acc, atol=1e-5)
    output = fitted.params["output"]["kernel"].astype(np.float64).reshape(SENSORS, 2, 2, 2)
    output = output[..., 1] - output[..., 0]  # [S, 2, F] of the log odds
    baseline, odds = still(acc, gyr, LENGTH), np.zeros((2, len(acc)))
    moved = []
    for k, name in enumerate(("acc", "gyr")):
        kernel = fitted.params[f"{name}_encoder"]["Dense_0"]["kernel"].astype(np.float64)
        kernel = kernel.reshape(SAMPLES, 3, 2)
        weight = np.einsum("laf,sf->lsa", kernel, output[:, k]) / SCALES[name]["sd"]
        inside = (np.arange(SAMPLES) < LENGTH[:, None])[..., None, None]
        moved.append(weight * ((acc, gyr)[k] - baseline[k]) * inside)
    change = sum(x.sum(axis=(1, 2, 3)) for x in moved)  # of the log odds
    odds = np.log(made.estimate / (1 - made.estimate))
    np.testing.assert_allclose(
        odds - np.log(made.baseline / (1 - made.baseline)), change, rtol=1e-3
    )
    slope = (made.estimate - made.baseline) / change
    for x, expected in zip((made.acc, made.gyr), moved, strict=True):
        np.testing.assert_allclose(x, slope[:, None, None, None] * expected, atol=2e-4)
    assert np.abs(made.estimate - made.baseline).max() > 0.05
    figure = made.picture(1)
    assert f"probability of walking: {made.estimate[1]:.3g}; the" in figure.texts[0].get_text()
    assert not [ax for ax in figure.axes if "[]" in ax.get_xlabel()]
    assert made.save(tmp_path / "why.png").stat().st_size > 1000
    with pytest.raises(UserError, match="target names 'running': there are lying, walking"):
        kept.explain(acc, gyr, LENGTH, "running")


def test_classes_are_told_of_a_network_and_a_reference_together(linear):
    """Each by its weight, in probabilities."""
    acc, gyr = windows(2)
    third = Function(lambda a, g: a[:, 0, 1].max())

    def estimate(acc, gyr, length):
        p = 1 / (1 + np.exp(9.81 - Function.estimate(third, acc, gyr, length)))
        return np.concatenate([1 - p, p], axis=1)

    third.estimate = estimate
    both = make_classes(make_network(linear, classes=2), third, weights=(0.5, 0.5))
    made = both.explain(acc, gyr, target="walking")
    alone = [make_classes(part).explain(acc, gyr, target="walking") for part in both.parts]
    for name in ("acc", "gyr", "estimate", "baseline"):
        mean = np.mean([getattr(one, name) for one in alone], axis=0)
        np.testing.assert_allclose(getattr(made, name), mean, atol=1e-6)
