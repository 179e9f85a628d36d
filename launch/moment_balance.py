"""How well the moments of people who walk and run balance, set by set.

    python launch/moment_balance.py --sets knee_moment,peak_force --subjects 5

The moment of the ground's forces about the centre of mass, less the rate of the body's angular
momentum, should be nothing.  Printed is what is left over of it, the length of the vector in body
weights times metres, over all samples of all trials of the first people of each set.
"""

import argparse

import jax
import numpy as np

from imujax.data.recordings import G
from imujax.simulate import dynamics, people

moment_excess = jax.jit(dynamics.moment_excess)


def measure_trial(settings: dict, name: str, subject_number: int, trial_number: int) -> np.ndarray:
    """What is left over in one trial of a set, body weights times metres [T]."""
    trial = people.simulate_trial(settings, name, subject_number, trial_number)
    excess = np.asarray(moment_excess(trial.person, trial.kin, trial.loads))
    return np.linalg.norm(excess, axis=0) / (float(trial.person.mass) * G)


def print_balance(name: str, changes: dict) -> None:
    """One line for each gait of a set, whose settings are changed as people.simulation_settings
    takes it."""
    settings = people.simulation_settings(name, changes)
    for gait in ("walking", "running"):
        trials = [i for i, t in enumerate(settings["trials"]) if t.get("gait") == gait]
        if trials:
            values = np.concatenate(
                [
                    measure_trial(settings, name, subject, trial)
                    for subject in range(settings["subjects"])
                    for trial in trials
                ]
            )
            low, middle = (np.mean(values < limit) for limit in (0.05, 0.30))
            print(
                f"{name}, {gait}, {settings['subjects']} people, {len(trials)} trials each: below "
                f".05 in {low:.1%} of samples, below .30 in {middle:.1%}, nine of ten below "
                f"{np.quantile(values, 0.9):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", default=",".join(people.SETS))
    parser.add_argument("--subjects", type=int, help="people of each set (default: all)")
    options = parser.parse_args()
    for name in options.sets.split(","):
        print_balance(name, {} if options.subjects is None else {"subjects": options.subjects})
