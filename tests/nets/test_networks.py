"""The table of networks: what an entry must have, and that a new one is one line."""

import types
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import draws

from imujax import UserError
from imujax.nets import networks, towers
from imujax.nets.settings import NetSettings
from imujax.runtime.fields import setting


class Toy(nn.Module):
    """Mean over time, then one linear layer."""

    features: int

    @property
    def embedding(self) -> int:
        return self.features

    @nn.compact
    def __call__(self, x, length=None, train: bool = False):
        return nn.Dense(self.features)(x.mean(1)).astype(jnp.float32)


@dataclass(frozen=True)
class ToySettings(NetSettings):
    """Of the toy."""

    features: int = setting(5, "channels", least=1)


TOY = types.SimpleNamespace(
    SETTINGS=ToySettings, make_encoder=lambda fields, name: Toy(**fields, name=name)
)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "toy", TOY)


@pytest.mark.parametrize("name", ["toy", *networks.NETWORKS])
def test_an_entry_keeps_the_contract(name, toy):
    """Shapes, type and name of an encoder made of nothing but its defaults."""
    encoder = networks.make_encoder({"network": name}, "acc_encoder")
    x = draws.windows(2, 64, 3)
    shapes = jax.eval_shape(lambda: encoder.init_with_output(jax.random.key(0), x))[0]
    assert shapes.shape == (2, encoder.embedding) and shapes.dtype == np.float32
    assert encoder.name == "acc_encoder"
    assert networks.resolve_net({"network": name})["shared"] is False


def test_a_toy_goes_through_both_towers(toy):
    """By hand: z is of length one, and an embedding is the linear layer of the mean over time."""
    net = {"network": "toy", "features": 4, "projection": (6, 3), "norm": "none"}
    x, y = draws.windows(8, 20, 3, seed=1), draws.windows(8, 20, 3, seed=2)
    tower = towers.DualTower(net)
    variables = draws.variables(tower, x, y)
    z_acc, z_gyr = tower.apply(variables, x, y)
    np.testing.assert_allclose(np.linalg.norm(z_acc, axis=1), 1, atol=1e-5)
    assert z_gyr.shape == (8, 3)
    dense = variables["params"]["acc_encoder"]["Dense_0"]
    h, _ = tower.apply(variables, x, y, method="embed")
    expected = x.mean(1).astype(np.float64) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(h, expected, atol=1e-5)


def test_mistakes_name_the_network(toy):
    with pytest.raises(
        UserError, match=r"net\.network names 'resnte': there are resnet, dilated, toy"
    ):
        networks.resolve_net({"network": "resnte"})
    with pytest.raises(UserError, match=r"net\.stages: no such field; there are network, shared"):
        networks.resolve_net({"network": "toy", "stages": (1, 1)})
    with pytest.raises(UserError, match=r"net\.features is 0"):
        networks.resolve_net({"network": "toy", "features": 0})
