"""A user's own recordings as a TFDS data set, described by one TOML card."""

from pathlib import Path

import tensorflow_datasets as tfds

from imujax.data_builders.base import WindowBuilder
from imujax.data_builders.tabular import examples


class Builder(WindowBuilder):
    """Windows, or labelled events, of any recordings; see the README beside this file."""

    VERSION = tfds.core.Version("1.1.0")
    pkg_dir_path = Path(__file__).parent
    module = examples
