"""Movement, forces and inertial sensors by physics, in JAX."""
