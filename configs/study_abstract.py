"""The study as its abstract tells it, on the four data sets of the study.

    imujax study --config configs/study_abstract.py --raw raw --data data --workdir work/abstract

The raw folders are those of study_as_published.py; `:cores` has ResNet-50 at an eighth of its
width, two sensors for the knee, shorter pre-training, two shares of the windows and of the
references those that are quick; `:tiny` is the same path in minutes.

As study_as_published.py, but ResNet-50 of bottlenecks, a tower for each modality, folds shuffled
with a recorded seed, and the loss that the abstract cites: both directions, the positive in the
denominator (Alayrac et al. 2020).
"""

from ml_collections import ConfigDict

from imujax.configs import study_as_published
from imujax.nets import resnet


def get_config(size: str = "full") -> ConfigDict:
    config = study_as_published.get_config(size)
    net = resnet.resnet50(64 if size == "full" else 8, "batch")
    for name in config.encoders:
        config.encoders[name].update(net=net, loss="symmetric")
        config.tasks[name].shuffle = True
        if size == "cores":
            config.tasks[name].axes = ConfigDict({"windows": (0.1, 1.0)})
            config.tasks[name].references = ("ridge", "trees")
    return config
