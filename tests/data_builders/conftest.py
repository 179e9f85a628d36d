"""What the tests of the tabular builder compare every layout with."""

import pytest
from helpers.plain_layout import lines_of, make_values, read, write


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """The examples of the plain file."""
    raw = tmp_path_factory.mktemp("plain")
    write(raw, lines_of(make_values()))
    return read(raw)
