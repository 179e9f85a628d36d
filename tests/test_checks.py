"""What a study looks for before it trains."""

from ml_collections import ConfigDict

from imujax import checks
from imujax.configs import common
from imujax.nets import resnet


def test_axes_that_are_named_in_other_words_are_told():
    """Of each data set that an encoder of the task is trained on; a simulation has none."""
    encoders = {
        "both": common.encoder(("waist", "lab"), resnet.tiny(), rotation=20.0),
        "none": common.encoder((), resnet.tiny(), stream={}),
    }
    tasks = {name: common.task("own", "Force", common.arms(name)) for name in encoders}
    frames = {"waist": "x right", "lab": "as in the files", "own": "as in the files"}
    told = checks.other_axes(
        ConfigDict({"encoders": encoders, "tasks": tasks}),
        {name: {"frame": frame} for name, frame in frames.items()},
    )
    assert list(told) == [
        'task both, encoder both: the axes of waist are "x right", those of own "as in the files", '
        "and rotation is 20 degrees: do they agree? See Axes in data_builders/README.md"
    ]
