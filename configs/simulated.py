"""The whole study on simulated people: three labelled tasks, an encoder for each.

    imujax quickstart --workdir work/simulated                             (minutes, two cores)
    imujax quickstart --workdir work/cores --config simulated:cores        (hours, two cores)
    imujax quickstart --workdir work/network --config simulated:network    (hours, two cores)
    imujax quickstart --workdir work/full --config simulated:full          (hours; an accelerator)

`cores` has all people of `full` and the small network of `quick`; `network` has all people and the
study's network at half its width, with shorter trials and fewer fractions, steps, draws and
references than `full`. In both two of the eight sensors are used for the knee moment.

Beside the encoder that is trained in its few minutes, `quick` has the one that comes with imujax
(box.py), trained for longer on simulated people whom no set here has: frozen, in a task of its own.

The people who move without labels are others than those with force plates, and their units are put
on with more scatter: `simulate` says how, over imujax/simulate/people.py.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import dilated, resnet

SIZES = {
    # subjects and seconds of each trial without labels; with labels; pre-training
    "full": {"movi": (90, 12.0), "labelled": (None, 20.0), "steps": 5000},
    "network": {"movi": (90, 12.0), "labelled": (None, 10.0), "steps": 1000},
    "cores": {"movi": (90, 12.0), "labelled": (None, 20.0), "steps": 2000},
    "quick": {"movi": (8, 6.0), "labelled": (8, 6.0), "steps": 200},
    "tiny": {"movi": (3, 4.0), "labelled": (6, 6.0), "steps": 20},
}
# Labelled units are put on with care.
WITH_CARE = {"scatter": {"place": 0.01, "turn": 3.0, "wobble": 0.8, "strap": 0.2}}


def get_config(size: str = "quick") -> ConfigDict:
    if size not in SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(SIZES)}")
    chosen = SIZES[size]
    config = ConfigDict({"seed": 0})
    subjects, seconds = chosen["movi"]
    # At 200 Hz, since two of the tasks are: at 100 Hz the faster encoder would see half the band.
    config.simulate = ConfigDict(
        {"movi": {"subjects": subjects, "seconds": seconds, "rate": 200.0}}
    )
    for name in ("loading_rate", "peak_force", "knee_moment"):
        config.simulate[name] = ConfigDict(WITH_CARE | {"seconds": chosen["labelled"][1]})
        if chosen["labelled"][0]:
            config.simulate[name].subjects = chosen["labelled"][0]
    config.data_sets = ConfigDict(
        {
            "fast": common.data_set("simulated", "movi", rate=200.0, window=128),
            "slow": common.data_set("simulated", "movi", rate=100.0, window=128),
            **{
                name: common.data_set("simulated", name, task=name)
                for name in ("loading_rate", "peak_force", "knee_moment")
            },
        }
    )
    net = resnet.tan2023("none") | {"pool": "mean_max"}
    net |= common.HALF if size == "network" else {}
    is_large, is_quick = size in ("full", "network"), size in ("quick", "tiny")
    net = net if is_large else resnet.tiny("none")
    train = {"steps": chosen["steps"], "rotation": 20.0, "save_every": 500}
    train |= {} if is_large else {"batch": 256, "learning_rate": 3e-3}
    train |= {"seeds": 1} if is_quick else {}
    config.encoders = ConfigDict(
        {
            "fast": common.encoder(("fast",), net, rate=200.0, **train),
            "slow": common.encoder(("slow",), net, rate=100.0, **train),
        }
    )
    axes = {"windows": (0.1, 1.0) if size == "network" else (0.1, 0.3, 1.0)}
    quick = common.SMALL | common.TINY | {"axes": axes, "folds": 4}
    cores = common.SMALL | {"axes": axes}
    network = cores | {"references": ("ridge", "trees")}  # those that are quick
    grid = {"full": {}, "network": network, "cores": cores}.get(size, quick)
    config.tasks = ConfigDict()
    for name, title, encoder in (
        ("loading_rate", "Vertical loading rate, running", "fast"),
        ("peak_force", "Peak vertical ground reaction force, walking", "fast"),
        ("knee_moment", "Peak knee flexion moment, walking", "slow"),
    ):
        config.tasks[name] = common.task(name, title, common.arms(encoder), **grid)
    if is_quick:
        given = {"parent": "gait", "steps": 0, "seeds": 1}
        config.encoders.box = common.encoder((), dilated.dilated(), **given)
        compared = common.arms("slow")
        # Another network, and so random weights of its own to be compared with.
        compared["box"] = {"encoder": "box", "weights": "pretrained"}
        compared["random-box"] = {"encoder": "box", "weights": "random"}
        # Its network does not stride early: fine-tuned it would take an hour.
        probes = grid | {"stages": ("probe",), "sensors": common.KNEE}
        title = "Peak knee flexion moment by frozen encoders, walking"
        config.tasks.frozen = common.task("knee_moment", title, compared, **probes)
    if size in ("network", "cores"):
        config.tasks.knee_moment.sensors = common.KNEE
    return config
