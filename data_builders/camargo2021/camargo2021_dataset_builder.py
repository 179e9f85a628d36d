"""Walking on level ground, ramps and stairs of Camargo et al. 2021 as a TFDS data set."""

from pathlib import Path

import tensorflow_datasets as tfds

from imujax.data_builders.base import WindowBuilder
from imujax.data_builders.camargo2021 import files


class Builder(WindowBuilder):
    """Windows of walking with the peak vertical force in them; see the README beside this file."""

    VERSION = tfds.core.Version("1.1.0")
    pkg_dir_path = Path(__file__).parent
    module = files
