"""Steps with knee moments of Tan et al. 2022 as a TFDS data set."""

from pathlib import Path

import tensorflow_datasets as tfds

from imujax.data_builders.base import WindowBuilder
from imujax.data_builders.tan2022_knee_moment import files


class Builder(WindowBuilder):
    """Steps of walking with their peak knee flexion moment; see the README beside this file."""

    VERSION = tfds.core.Version("1.1.0")
    pkg_dir_path = Path(__file__).parent
    module = files
