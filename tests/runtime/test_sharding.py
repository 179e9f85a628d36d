"""Placing and fetching keep values, and share arrays out as they say."""

import jax.numpy as jnp
import numpy as np

from imujax.runtime import sharding


def test_split_and_replicated():
    mesh = sharding.make_mesh("run", 4)
    x = np.arange(24.0).reshape(8, 3)
    shards = sharding.place({"x": x}, sharding.sharded(mesh))["x"]
    assert {shard.data.shape for shard in shards.addressable_shards} == {(2, 3)}
    copies = sharding.place(x, sharding.replicated(mesh))
    assert {shard.data.shape for shard in copies.addressable_shards} == {(8, 3)}
    np.testing.assert_array_equal(sharding.to_host({"x": shards})["x"], x)
    np.testing.assert_array_equal(sharding.to_host(shards + jnp.ones((1, 3))), x + 1)
