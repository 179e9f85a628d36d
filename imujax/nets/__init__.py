"""Networks over windows of samples, as pure functions of their parameters.

In come windows [B, T, C] with the number of true samples in each, and a net configuration; out come
embeddings [B, D], and from the two towers and the regressor what pre-training and the labelled
tasks make of them. `networks` has the table of networks, `resnet` and `dilated` the net
configurations of the experiments, `towers` what stands on an encoder; `parameters` names the
weights and loads them, `tuning` says which of them are moved in fine-tuning, `arithmetic` counts
what a step costs. The other modules are for this room alone. Nothing is imported before a module is
asked for: `from imujax.nets import towers`.
"""

__all__ = ["arithmetic", "dilated", "networks", "parameters", "resnet", "towers", "tuning"]
