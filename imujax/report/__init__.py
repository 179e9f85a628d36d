"""What is shown of finished sweeps.

In come the files of sweeps, a folder a task: runs.csv, predictions.npz and summary.json. Every
number is computed again from the predictions, metrics within a subject first; out come curves with
intervals, tests and data reductions, the sentences that follow from them, and one folder with the
figure, the tables and the page. `report` writes all of it; `tables`, `metrics` and
`learning_curves` are for those who want the numbers in a notebook.
"""

__all__ = ["learning_curves", "metrics", "report", "tables"]
