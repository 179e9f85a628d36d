"""Placing and fetching keep values, and share arrays out as they say."""

import jax.numpy as jnp
import numpy as np

from imujax import mesh


def test_split_and_replicated():
    where = mesh.make("run", 4)
    x = np.arange(24.0).reshape(8, 3)
    split = mesh.put({"x": x}, mesh.split(where))["x"]
    assert {shard.data.shape for shard in split.addressable_shards} == {(2, 3)}
    whole = mesh.put(x, mesh.replicated(where))
    assert {shard.data.shape for shard in whole.addressable_shards} == {(8, 3)}
    np.testing.assert_array_equal(mesh.fetch({"x": split})["x"], x)
    np.testing.assert_array_equal(mesh.fetch(split + jnp.ones(3)), x + 1)
