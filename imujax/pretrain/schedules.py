"""Optimiser and learning rate from the configuration, both optax's own."""

import jax
import jax.numpy as jnp
import optax

from imujax.nets import parameters


def warmup_cosine(peak: float | jax.Array, steps: int, warmup: float) -> optax.Schedule:
    """Learning rate: linear up over `warmup * steps`, then cosine to zero.

    Parameters
    ----------
    peak : float or scalar array
        The highest rate.  In a sweep it is an array, since every run has its own.
    steps : int
        After so many steps the rate is zero.
    warmup : float
        Share of the steps in which the rate rises.

    Returns
    -------
    optax.Schedule
        A function of the step, counted from zero; positive at every step, the first included.
    """
    rise = max(1, round(warmup * steps))
    # The shape alone: optax asks of a peak whether it is zero, which a traced one cannot say.
    shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, rise, max(steps, rise + 1))
    return lambda step: peak * shape(step + 1)


def warmup_constant(peak: float | jax.Array, rise: int | jax.Array) -> optax.Schedule:
    """Learning rate: linear up over `rise` steps, then constant.

    Parameters
    ----------
    peak : float or scalar array
        The highest rate.
    rise : int or scalar array
        Steps in which the rate rises, at least 1.

    Returns
    -------
    optax.Schedule
        A function of the step, counted from zero; positive at every step, the first included.
    """
    return lambda step: peak * jnp.minimum(1.0, (step + 1) / rise)


def adamw(
    rate: optax.Schedule,
    weight_decay: float,
    undecayed: tuple[str, ...] = (),
    factors: parameters.Patterns = (),
) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019).

    Parameters
    ----------
    rate : optax.Schedule
        Of `warmup_cosine` or `warmup_constant`.
    weight_decay : float
        Share of a parameter that a rate of one would take away in a step.
    undecayed : tuple of str
        Parameters at the top of the tree that do not decay.
    factors : sequence of (str, float), optional
        By which the rate of a parameter is multiplied, and its decay with it, see
        `parameters.scale`; where it is 0 nothing moves.

    Returns
    -------
    optax.GradientTransformation
        Its state counts the steps, from which `rate` is taken.
    """

    def decays(params):
        return {name: name not in undecayed for name in params}

    optimiser = optax.adamw(rate, weight_decay=weight_decay, mask=decays if undecayed else None)
    if not factors:
        return optimiser
    scale = optax.stateless(lambda updates, _: parameters.scale(updates, factors))
    return optax.chain(optimiser, scale)
