"""From encoders and a labelled data set to predictions of every run.

In come a task's section of a configuration, the folder of its labelled data set and those of the
encoders: `settings` says whether the section can be, `audit` whether anybody would be both trained
on and tested, `rehearsal` goes through all that comes before the first run, and `sweep` tunes every
arm and reference on every cell of the grid of folds, draws and fractions, many runs at once, with
the settings chosen on inner subjects, alone or one of the `shares` of several machines; `fitting`
does so once, on everybody. Out come runs.csv,
predictions.npz and summary.json, and a sweep that was stopped goes on. `references` has what needs
no network. The other modules are for this room alone. Nothing is imported before a module is asked
for: `from imujax.sweep import sweep`.
"""

__all__ = ["audit", "fitting", "references", "rehearsal", "settings", "shares", "sweep"]
