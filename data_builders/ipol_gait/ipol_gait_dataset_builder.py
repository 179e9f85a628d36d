"""The IPOL gait set as a TFDS data set: unlabelled windows, or the stance time of each step."""

from pathlib import Path

import tensorflow_datasets as tfds

from imujax.data_builders.base import WindowBuilder
from imujax.data_builders.ipol_gait import files


class Builder(WindowBuilder):
    """Windows or steps of healthy walking; see the README beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent
    module = files
