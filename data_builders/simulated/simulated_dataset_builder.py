"""Simulated recordings as a TFDS data set: unlabelled windows, or a labelled task."""

from pathlib import Path

import tensorflow_datasets as tfds

from imujax.data_builders.base import WindowBuilder
from imujax.data_builders.simulated import files


class Builder(WindowBuilder):
    """Windows or labelled contacts of simulated people; see the README beside this file."""

    VERSION = tfds.core.Version("1.2.0")
    pkg_dir_path = Path(__file__).parent
    module = files
