"""How pre-training grows, and what else than pairs: the frozen probe on many encoders.

    imujax simulate --out raw/thirty --sets movi --subjects 30
    imujax study --config configs/growth.py --raw raw --data data --workdir work/growth
    python launch/growth.py work/growth --out work/growth/growth.png
    python launch/growth.py work/growth --task fine_tuned --stage finetune

Each encoder differs from the middle one, which belongs to every series, in one thing: steps,
negatives, people, width; or in what is learned: masked signals or forces of simulated walkers
beside the pairs, forces alone, or, going on from it, pairs of the insoles' own windows, fold by
fold without the test subjects. Simulated people in the place of real ones are a series apart.
Beside them stands the encoder that comes with imujax (box.py), as it is and going on in the same
way. All are pre-trained as those of gait.py, and probed on the peak force of a foot with a tenth
of the windows; some are fine-tuned too. Each has one pre-training: a line through several carries
the noise of each. raw/insole/windows.toml is the card insole.toml without its events and target,
with windows of 128 samples, 64 apart. `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common, gait, insole
from imujax.nets import dilated

SIZES = ("cores", "tiny")
TRAIN = {"window": 64, "rotation": 30.0, "seeds": 1, "steps": 400, "log_every": 100}
# By series and value what is changed, and the value of the middle one. Whoever is held out to watch
# is not trained on: so the share of people is chosen.
SERIES = {
    "steps": {value: {"steps": value} for value in (50, 100, 200, 800, 1600)},
    "negatives": {value: {"batch": value} for value in (64, 128, 256, 1024)},
    "people": {share: {"monitor": 1 - share / 100} for share in (10, 20, 45)},
    "width": {value: {"net": {"width": value}} for value in (4, 8, 32)},
    "simulated": {
        share: {"data": ("moves",), "monitor": 1 - share / 100} for share in (10, 20, 45, 90)
    },
}
PEOPLE = {"sensors": ("pelvis", "foot_r", "foot_l", "shank_r")}
FORCES = {"windows": 16384, "batch": 256, "people": PEOPLE}
OWN = {"data": ("insoles",), "without": "peak_force", "others": True}
PRETEXTS = {
    "masked": {"beside": {"masked": 1.0}},
    "forces": {"beside": {"forces": 1.0}, "simulated": FORCES},
    "forces_alone": {"loss": "forces", "simulated": FORCES},
    "own": OWN | {"parent": "middle"},
    "box": {"parent": "gait", "data": (), "steps": 0},
    "box_own": OWN | {"parent": "gait"},
}
TUNED = ("middle", "random_16", "steps", "pretext_box")  # whose arms are fine-tuned too
MIDDLE = {"steps": 400, "negatives": 512, "people": 90, "width": 16}


def get_config(size: str = "cores") -> ConfigDict:
    if size not in SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(SIZES)}")
    config = insole.get_config("cores")
    config.encoders, arms = ConfigDict(), ConfigDict()
    config.data_sets.insoles = common.data_set("tabular", "insole", card="insole/windows.toml")
    cut = {"rate": 100.0, "window": 128, "stride": 64}
    config.data_sets.moves = common.data_set("simulated", "thirty/movi", **cut)
    for series, values in {"middle": {"": {}}, **SERIES, "pretext": PRETEXTS}.items():
        for value, changes in list(values.items())[: 2 if size == "tiny" else None]:
            name = f"{series}_{value}".rstrip("_")
            net = dilated.dilated() | changes.get("net", {})
            own = {"data": ("waist", "walks")} | TRAIN | changes | {"net": net}
            own["save_every"] = max(own["steps"], 1)
            config.encoders[name] = common.encoder(**own)
            weights = "in_domain" if "without" in own else "pretrained"
            arms[name] = {"encoder": name, "weights": weights}
            if series in ("middle", "width"):
                random = f"random_{value or MIDDLE['width']}"
                arms[random] = {"encoder": name, "weights": "random"}
    draws = 1 if size == "tiny" else 4
    probed = {"folds": insole.FOLDS, "axes": {"windows": (0.1,)}, "references": ("ridge",)}
    tuned = common.SMALL | common.BESIDE | probed | {"rates": gait.RATES[1:]}
    tuned |= {"rescale": True, "kept": gait.SHARES["kept"]}
    tuned |= common.TINY if size == "tiny" else {}
    probed |= common.SMALL | {"stages": ("probe",), "draws": draws}
    some = {name: arm for name, arm in arms.items() if name.startswith(TUNED)}
    title = "Peak force of a foot"
    config.tasks = ConfigDict(
        {
            "peak_force": common.task("contacts", title, arms, **probed),
            "fine_tuned": common.task("contacts", f"{title}, fine-tuned", some, **tuned),
        }
    )
    return config
