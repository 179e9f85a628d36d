"""imujax: does pre-training on unlabelled IMU recordings reduce the labels that a task needs?

The names below are what scripts and notebooks use; `imujax/README.md` shows the rooms behind them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from imujax.errors import UserError

if TYPE_CHECKING:
    from imujax.data.builders import build, read_recordings
    from imujax.data.datasets import Dataset, find_dataset, read, read_metadata
    from imujax.data.recordings import Recording
    from imujax.models.keeping import load
    from imujax.models.model import Model
    from imujax.pretrain.encoder import Encoder
    from imujax.report.report import write_report
    from imujax.report.tables import Sweep, load_sweep

__all__ = [
    "Dataset",
    "Encoder",
    "Model",
    "Recording",
    "Sweep",
    "UserError",
    "build",
    "find_dataset",
    "load",
    "load_sweep",
    "read",
    "read_metadata",
    "read_recordings",
    "write_report",
]

# Where each name lies.  `import imujax` and `imujax --help` must not wait for jax.
_MODULES = {
    "imujax.data.builders": ("build", "read_recordings"),
    "imujax.data.datasets": ("Dataset", "find_dataset", "read", "read_metadata"),
    "imujax.data.recordings": ("Recording",),
    "imujax.models.keeping": ("load",),
    "imujax.models.model": ("Model",),
    "imujax.pretrain.encoder": ("Encoder",),
    "imujax.report.report": ("write_report",),
    "imujax.report.tables": ("Sweep", "load_sweep"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'imujax' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
