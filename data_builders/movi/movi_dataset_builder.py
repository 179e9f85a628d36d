"""MoVi as a TFDS data set of unlabelled windows of seventeen units."""

from pathlib import Path

import tensorflow_datasets as tfds

from imujax.data_builders.base import WindowBuilder
from imujax.data_builders.movi import files


class Builder(WindowBuilder):
    """Windows of 21 everyday movements; see the README beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent
    module = files
