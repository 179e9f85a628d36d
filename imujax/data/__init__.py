"""From a recording to arrays.

In come raw signals in SI units, as builders and simulations give them: a `Recording`, checked when
it is made. It is cut into windows and labelled by the rules of the study; the examples are kept as
a data set on disk. Out come examples in memory, and for pre-training sensor-windows, from memory or
from blocks on the disk, which are cut, turned and scaled to batches on the device; labelled windows
of another rate than an encoder's are brought to it (`rates`). Nothing is imported before a module
is asked for: `from imujax.data import windows`.
"""

__all__ = [
    "augment",
    "blocks",
    "builders",
    "clocks",
    "content",
    "datasets",
    "doubts",
    "frames",
    "gravity",
    "labels",
    "rates",
    "raw_layouts",
    "recordings",
    "scales",
    "sensor_events",
    "sensor_windows",
    "settings",
    "targets",
    "windows",
]
