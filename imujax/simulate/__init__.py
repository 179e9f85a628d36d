"""Movement, forces and inertial sensors by physics, in JAX.

In come a seed and plain settings: a population, movements, where sensors sit and what errors they
have. A person is drawn with a body and a manner; walking and running follow from the forces of the
feet, everyday movements from scores of poses; units ride on the segments and read them. Out come
recordings with forces, moments and contacts as files, the same in the layouts of real data sets, a
picture of one person, or batches of sensor-windows made on the device. Nothing is imported before a
module is asked for: `from imujax.simulate import people`.
"""

__all__ = [
    "activities",
    "balance",
    "body",
    "dynamics",
    "forces",
    "gait",
    "layouts",
    "people",
    "skeleton",
    "stream",
    "style",
    "way",
]
