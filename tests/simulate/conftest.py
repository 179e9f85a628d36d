"""What the tests of the simulation share."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def promoted_ranks():
    """Formulas over time hold for [T] and [3, T] alike: here a lower rank is promoted."""
    import jax

    with jax.numpy_rank_promotion("allow"):
        yield
