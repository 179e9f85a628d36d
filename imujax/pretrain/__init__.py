"""From unlabelled data sets, or a simulation, to an encoder.

In come an encoder's section of a configuration and the folders of its data sets: `settings` says
whether the section can be, `sources` gives batches from the device, the disk or a simulation,
`step` trains on one of them with the optimiser and the learning rate of `schedules`, and `loop`
does so from start to end, and goes on where it was stopped, or, as `lineage` has it, from another
encoder. Out come checkpoints that explain themselves; `encoder` opens one without its
configuration, and embeds windows of any sensors, of any rate from 20 to 200 Hz, of one modality or
both; `inputs` looks at what it is given and brings it to the encoder's rate. `packed` has encoders
as one file each, and those that come with imujax. Nothing is imported before a module is asked for:
`from imujax.pretrain import encoder`.
"""

__all__ = [
    "encoder",
    "inputs",
    "lineage",
    "loop",
    "packed",
    "schedules",
    "settings",
    "sources",
    "step",
]
