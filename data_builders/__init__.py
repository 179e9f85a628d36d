"""From raw files to data sets: a folder for each set, and what all builders share.

In come the raw files of a study, in the layout in which its authors give them; each folder knows
that layout, its units and axes, its labels and its licence. Out come examples in SI units, written
by TFDS to shards that are the same byte for byte however many processes read, together with what
was dropped and the checksums of the sources. `contract` says what a builder must offer, `base`
builds with it, `workers` reads over the cores and `beam` on Apache Beam. Only `base` and `beam`
import TFDS, and nothing here imports jax; of imujax the rooms errors, runtime and data are used.
"""

__all__ = ["base", "beam", "contract", "workers"]
