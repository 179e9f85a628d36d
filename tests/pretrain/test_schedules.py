"""Schedule and optimiser against their formulas and against PyTorch's AdamW."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from imujax.pretrain import schedules


def test_schedule_rises_and_falls():
    rate = schedules.warmup_cosine(0.5, 100, 0.2)
    share = np.array([float(rate(step)) for step in range(100)]) / 0.5
    assert share[0] == pytest.approx(1 / 20)
    assert share[19] == pytest.approx(1) and share.argmax() == 19
    assert share[59] == pytest.approx(0.5, abs=1e-6)  # half way down
    assert share[99] == pytest.approx(0, abs=1e-6)
    assert (np.diff(share[20:]) < 0).all() and (share[:99] > 0).all()


@pytest.mark.parametrize(("steps", "warmup"), [(300, 0.2), (7, 0.0), (5, 1.0), (1, 0.2)])
def test_schedule_equals_its_formula(steps, warmup):
    step, rise = np.arange(steps), max(1, round(warmup * steps))
    down = 0.5 * (1 + np.cos(np.pi * (step + 1 - rise) / max(1, steps - rise)))
    formula = 3e-3 * np.where(step < rise, (step + 1) / rise, down)
    rate = schedules.warmup_cosine(3e-3, steps, warmup)
    np.testing.assert_allclose([rate(k) for k in step], formula, rtol=2e-6, atol=1e-9)


def test_adamw_equals_pytorch_while_the_rate_changes():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=(5, 3)), rng.normal(size=(20, 5, 3))
    weight = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    torch_optimiser = torch.optim.AdamW([weight], lr=0.01, weight_decay=0.1)
    rate = schedules.warmup_cosine(0.01, 20, 0.2)
    optimiser = schedules.adamw(rate, 0.1)
    params = {"w": jnp.asarray(start, jnp.float32)}
    opt = optimiser.init(params)
    for step, grad in enumerate(grads):
        torch_optimiser.param_groups[0]["lr"] = float(rate(step))
        weight.grad = torch.tensor(grad, dtype=torch.float32)
        torch_optimiser.step()
        updates, opt = optimiser.update({"w": jnp.asarray(grad, jnp.float32)}, opt, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params["w"], weight.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_every_lane_has_its_own_rate():
    """Stacked and traced, a rate does what it does alone."""
    rates, grads = jnp.asarray([1e-3, 3e-2, 0.0]), jnp.linspace(-1, 1, 4)

    def three_steps(rate):
        optimiser = schedules.adamw(schedules.warmup_cosine(rate, 10, 0.2), 0.1)
        params = jnp.ones(4)
        opt = optimiser.init(params)
        for _ in range(3):
            updates, opt = optimiser.update(grads, opt, params)
            params = optax.apply_updates(params, updates)
        return params

    stacked = jax.jit(jax.vmap(three_steps))(rates)
    alone = [three_steps(float(rate)) for rate in rates]
    np.testing.assert_allclose(stacked, alone, rtol=1e-6)
    np.testing.assert_array_equal(stacked[2], np.ones(4))


def test_what_shall_not_decay_does_not():
    optimiser = schedules.adamw(lambda step: 1.0, 0.1, undecayed=("log_scale",))
    params = {"log_scale": jnp.float32(2.0), "w": jnp.float32(2.0)}
    still = {name: jnp.float32(0.0) for name in params}
    updates, _ = optimiser.update(still, optimiser.init(params), params)
    assert updates["log_scale"] == 0 and updates["w"] == pytest.approx(-0.2)
