"""From a finished comparison to a model that one can keep.

In come a task, its labelled data set, the encoders and the sweep: `fit` chooses the settings on
inner subjects as the sweep does, trains on everybody, and measures on the sweep's held-out subjects
which model is best and how far its estimates miss (`held_out`, `intervals`, `sets` of classes). Out
comes a folder that explains itself, which `keeping` opens without its configuration: arrays, texts,
a card, a page for people. The `model`, made of `parts`, estimates the windows of recordings
(`predict`), where `cutting` lays them, and says what moves an estimate (`explanation`). Nothing is
imported before a module is asked for: `from imujax.models import model`.
"""

__all__ = [
    "bands",
    "cutting",
    "fit",
    "held_out",
    "intervals",
    "keeping",
    "model",
    "parts",
    "predict",
    "seen",
    "sets",
]
