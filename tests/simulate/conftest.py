"""What the tests of the simulation share."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def ranks(any_rank):
    """See tests/conftest.py."""
