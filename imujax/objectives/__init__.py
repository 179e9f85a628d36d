"""What encoders learn without labels.

In come an encoder's section of a configuration and the devices; out comes an `Objective`: pure
functions that draw variables, give the loss of a batch with its metrics, and watch held-out
subjects. A loss is written for the whole batch, whatever the devices do with it. `objectives` has
the table of objectives, `relations` says which pairs of a batch are negatives, `log_sums` sums over
all pairs in memory linear in the batch. The other modules are for this room alone. Nothing is
imported before a module is asked for: `from imujax.objectives import relations`.
"""

__all__ = ["log_sums", "objectives", "relations"]
