"""Schedules and optimisers from the configuration: AdamW, linear warm-up, cosine to zero."""

import jax
import jax.numpy as jnp
import optax


def warmup_cosine(step, steps: int, warmup: float):
    """Learning rate as a share of its peak: linear up over `warmup * steps`, then cosine to zero.

    step: int scalar, counted from zero; the rate is positive at every step, the first included.
    """
    rise = max(1, round(warmup * steps))
    up = (step + 1) / rise
    down = 0.5 * (1 + jnp.cos(jnp.pi * (step + 1 - rise) / max(1, steps - rise)))
    return jnp.where(step < rise, up, down)


def adam(weight_decay: float, undecayed: tuple[str, ...] = ()) -> optax.GradientTransformation:
    """AdamW without its learning rate (Loshchilov and Hutter 2019): the step multiplies it in.

    The rate stays outside so that in a sweep every run of a stack can have its own.  undecayed:
    names of parameters at the top of the tree that do not decay.
    """

    def decays(params):
        return {name: name not in undecayed for name in params}

    decay = optax.add_decayed_weights(weight_decay, mask=decays if undecayed else None)
    return optax.chain(optax.scale_by_adam(), decay)


def apply(optimiser, grads, opt, params, rate):
    """One update with learning rate `rate` (scalar) -> (params, opt)."""
    updates, opt = optimiser.update(grads, opt, params)
    return jax.tree.map(lambda p, u: p - rate * u, params, updates), opt
