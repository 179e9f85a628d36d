"""Placing and fetching keep values, and share arrays out as they say."""

import jax.numpy as jnp
import numpy as np

from imujax.runtime import sharding


def test_split_and_replicated():
    where = sharding.make_mesh("run", 4)
    x = np.arange(24.0).reshape(8, 3)
    split = sharding.place({"x": x}, sharding.sharded(where))["x"]
    assert {shard.data.shape for shard in split.addressable_shards} == {(2, 3)}
    whole = sharding.place(x, sharding.replicated(where))
    assert {shard.data.shape for shard in whole.addressable_shards} == {(8, 3)}
    np.testing.assert_array_equal(sharding.to_host({"x": split})["x"], x)
    np.testing.assert_array_equal(sharding.to_host(split + jnp.ones(3)), x + 1)
