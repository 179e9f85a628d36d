"""The settings of a data set in a configuration."""

from dataclasses import dataclass
from typing import Any

from imujax.runtime.fields import REQUIRED, setting


@dataclass(frozen=True)
class DataSetSettings:
    """Which builder makes it, of what."""

    builder: str = setting(REQUIRED, "its name, see data_builders/README.md")
    raw: str = setting(REQUIRED, "folder of its raw files, below --raw")
    options: dict[str, Any] = setting({}, "of the builder; a `card` is a path below --raw")
