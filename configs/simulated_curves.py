"""The curves behind the three simulated tasks: ground forces, and the moment of a knee.

    imujax quickstart --workdir work/curves --config simulated_curves:cores    (an hour, one core)

The people, encoders and folds of simulated.py, and in the place of a peak or a rate the whole curve
of a stance, a value a sample.  `:cores` has the sizes of simulated:cores, half its budget, and
ridge alone beside the networks; `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common, simulated

CURVES = {
    "loading_rate": ("Vertical ground force, running", "vertical ground force"),
    "peak_force": ("Vertical ground force, walking", "vertical ground force"),
    "knee_moment": ("Knee flexion moment, walking", "knee flexion moment"),
}


def get_config(size: str = "full") -> ConfigDict:
    if size not in common.SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(common.SIZES)}")
    config = simulated.get_config(size)
    if size == "tiny":
        del config.encoders.box  # which sees 100 Hz, and curves are not brought to another rate
    for name, (title, target) in CURVES.items():
        if size == "tiny":
            for arm in ("box", "random-box"):
                del config.tasks[name].arms[arm]
        changes = {"title": title, "targets": (target,), "references": ("ridge", "extra")}
        changes |= common.BESIDE | {"references": ("ridge",)} if size == "cores" else {}
        config.tasks[name].update(changes)
    return config
