"""Curves of long recordings by windows: as one pass has them, and between windows."""

import numpy as np
import pytest
from helpers import draws

from imujax.models import joining
from imujax.nets import networks, resnet, towers

NET = resnet.tiny("none") | {"stages": (1,)}


@pytest.mark.parametrize("every", [1, 2])
def test_joined_windows_are_one_long_pass_away_from_the_ends(every):
    window, hop, span = 64, 16, 64 + 8 * 16
    model = towers.CurveRegressor(NET, outputs=2, every=every)
    acc, gyr = draws.windows(1, span, 1, 3), draws.windows(1, span, 1, 3, seed=4)
    variables = draws.variables(model, acc, gyr)
    whole = np.asarray(model.apply(variables, acc, gyr))[0]
    starts = np.arange(0, span - window + 1, hop)
    cut = [np.concatenate([x[:, start : start + window] for start in starts]) for x in (acc, gyr)]
    curves = np.asarray(model.apply(variables, *cut))
    half = networks.make_encoder(NET).receptive_field // 2
    assert half <= window // 4  # else the margin would not be that of one pass
    margin = -(-half // every)
    joined = joining.join(curves, starts // every, span // every, margin)
    assert joined.shape == whole.shape
    inner = slice(margin, -margin)
    np.testing.assert_allclose(joined[inner], whole[inner], atol=1e-4 * whole.std())
    mean = joining.join(curves, starts // every, span // every, 0)
    assert np.abs(mean - whole)[inner].max() > 1e-3 * whole.std()  # the margin is needed


def test_equal_windows_join_to_themselves_and_gaps_stay_gaps():
    curves = np.broadcast_to(np.arange(3.0), (2, 20, 3))
    joined = joining.join(curves, np.array([0, 30]), 60, 5)
    np.testing.assert_allclose(joined[:20], curves[0])
    assert np.isnan(joined[20:30]).all() and np.isnan(joined[50:]).all()
    ramp = np.stack([np.zeros(20), np.ones(20)])
    blend = joining.join(ramp, np.array([0, 10]), 30, 0)
    assert (np.diff(blend) >= 0).all() and blend[0] == 0 and blend[-1] == 1
    assert 0.4 < blend[14] < blend[15] < 0.6
