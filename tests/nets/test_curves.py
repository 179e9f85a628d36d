"""Curves from a network: the decoder by hand, its receptive field, and long recordings."""

import jax
import numpy as np
import pytest
from helpers import draws

from imujax import UserError
from imujax.nets import layers, networks, resnet, towers
from tests.nets.test_networks import TOY

NET = resnet.tiny("none") | {"stages": (1,)}


def test_features_are_read_on_the_line_between_their_samples():
    """By numpy.interp, whose ends hold as those of a feature do."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)  # samples 0, 4, .., 16 of 20
    samples = np.arange(0, 20, 3)
    for length in (None, np.array([5, 3, 1])):
        read = layers.at_samples(layers.Feature(x, length, 4), samples)
        assert read.shape == (2, len(samples), 3)
        for window in range(3):
            own = slice(None if length is None else length[window])
            for channel in range(2):
                expected = np.interp(samples, np.arange(0, 20, 4)[own], x[channel, own, window])
                np.testing.assert_allclose(read[channel, :, window], expected, rtol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_a_curve_has_a_value_every_so_many_samples_from_all_sensors(shared):
    model = towers.CurveRegressor(NET | {"shared": shared}, outputs=2, every=3)
    acc, gyr = draws.windows(4, 32, 2, 3), draws.windows(4, 32, 2, 3, seed=4)
    variables = draws.variables(model, acc, gyr)
    assert set(variables["params"]) == (
        {"encoder", "output"} if shared else {"acc_encoder", "gyr_encoder", "output"}
    )
    features = np.asarray(model.apply(variables, acc, gyr, method="features"))
    assert features.shape == (4, 11, 2 * 2 * (3 + 8 + 8))
    y = model.apply(variables, acc, gyr)
    layer = variables["params"]["output"]
    np.testing.assert_allclose(y, features @ layer["kernel"] + np.asarray(layer["bias"]), atol=1e-5)
    # The features of a sensor are its own: acceleration first, then angular rate; the signals, the
    # stem, then the stages.
    name = "encoder" if shared else "gyr_encoder"
    stem, stage = networks.make_encoder(model.net).apply(
        {"params": variables["params"][name]}, gyr[:, :, 1], pooled=False
    )
    assert (stem.every, stage.every) == (2, 4) and stage.length is None
    expected = layers.at_samples(stage, np.arange(0, 32, 3)).T
    np.testing.assert_allclose(features[..., -8:], expected, atol=1e-5)
    np.testing.assert_array_equal(features[..., -19:-16], gyr[:, ::3, 1])


def test_what_lies_beyond_a_window_leaves_no_trace():
    model = towers.CurveRegressor(NET, outputs=1)
    acc, gyr = draws.windows(2, 32, 1, 3), draws.windows(2, 32, 1, 3, seed=4)
    length = np.array([32, 20])
    variables = draws.variables(model, acc, gyr)
    y = model.apply(variables, acc, gyr, length)
    alone = model.apply(variables, acc[1:, :20], gyr[1:, :20])
    np.testing.assert_allclose(y[1, :20], alone[0], atol=1e-5)


@pytest.mark.parametrize("fields", [{}, {"stages": (2, 1), "kernel": 5}, {"block": "bottleneck"}])
def test_no_value_sees_more_than_the_receptive_field(fields):
    """By the gradient of a value for its input: one of them sees both ends, none sees more."""
    net = NET | fields
    model, span = towers.CurveRegressor(net), 160
    acc, gyr = draws.windows(1, span, 1, 3), draws.windows(1, span, 1, 3, seed=4)
    variables = draws.variables(model, acc, gyr)
    half = networks.make_encoder(net).receptive_field // 2

    @jax.jit
    def seen(sample):
        gradient = jax.grad(lambda x: model.apply(variables, x, gyr)[0, sample, 0])(acc)
        return abs(gradient).sum((0, 2, 3)) > 0

    offsets = [np.flatnonzero(seen(sample)) - sample for sample in range(80, 96)]
    assert min(x.min() for x in offsets) == -half and max(x.max() for x in offsets) == half


def test_a_network_without_curves_is_refused(monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "toy", TOY)
    networks.require_curves(NET)
    with pytest.raises(
        UserError, match=r"the network toy gives no curves, .*: take resnet, dilated, or"
    ):
        networks.require_curves({"network": "toy"})
