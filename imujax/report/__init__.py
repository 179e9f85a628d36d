"""What is shown of finished sweeps.

In come the files of sweeps, a folder a task: runs.csv, predictions.npz and summary.json. Every
number is computed again from the predictions, metrics within a subject first; out come curves with
intervals, tests and data reductions, the sentences that follow from them, and one folder with the
figure, the tables and the page. `report` writes all of it; `tables`, `metrics`, `learning_curves`
and `comparisons` are for those who want the numbers in a notebook, `mixed_model` has their
intervals, and `kinds` says what is measured of numbers and of classes.
"""

__all__ = ["comparisons", "kinds", "learning_curves", "metrics", "mixed_model", "report", "tables"]
