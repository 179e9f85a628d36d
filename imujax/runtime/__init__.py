"""What every long run needs: devices, processes, checkpoints, files, progress.

In come settings and arrays; out come files that are whole or not there and survive a kill, arrays
placed on devices, and sentences on stderr. `sharding` is the only module in which shardings are
made, `checkpoint` the only one that knows orbax; `cluster` and `processes` alone look into
`jax._src`. Nothing is imported before a module is asked for:
`from imujax.runtime import files`.
"""

__all__ = [
    "checkpoint",
    "cluster",
    "drawing",
    "fields",
    "files",
    "host",
    "interrupt",
    "log",
    "processes",
    "settings",
    "sharding",
]
