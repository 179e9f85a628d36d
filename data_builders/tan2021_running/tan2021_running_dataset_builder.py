"""Strikes in running with loading rates of Tan et al. 2021 as a TFDS data set."""

from pathlib import Path

import tensorflow_datasets as tfds

from imujax.data_builders.base import WindowBuilder
from imujax.data_builders.tan2021_running import files


class Builder(WindowBuilder):
    """Left strikes of running with their vertical loading rate; see the README beside this file."""

    VERSION = tfds.core.Version("1.1.0")
    pkg_dir_path = Path(__file__).parent
    module = files
