"""Schedule and optimiser against their formulas and against PyTorch's AdamW."""

import jax.numpy as jnp
import numpy as np
import pytest

from imujax.pretrain import schedules


def test_schedule_rises_and_falls():
    share = np.array([float(schedules.warmup_cosine(step, 100, 0.2)) for step in range(100)])
    assert share[0] == pytest.approx(1 / 20)
    assert share[19] == pytest.approx(1) and share.argmax() == 19
    assert share[59] == pytest.approx(0.5, abs=1e-6)  # half way down
    assert share[99] == pytest.approx(0, abs=1e-6)
    assert (np.diff(share[20:]) < 0).all() and (share[:99] > 0).all()


def test_adamw_equals_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=(5, 3)), rng.normal(size=(20, 5, 3))
    weight = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    theirs = torch.optim.AdamW([weight], lr=0.01, weight_decay=0.1)
    params, ours = {"w": jnp.asarray(start, jnp.float32)}, schedules.adam(0.1)
    opt = ours.init(params)
    for grad in grads:
        weight.grad = torch.tensor(grad, dtype=torch.float32)
        theirs.step()
        params, opt = schedules.apply(
            ours, {"w": jnp.asarray(grad, jnp.float32)}, opt, params, 0.01
        )
    np.testing.assert_allclose(params["w"], weight.detach().numpy(), rtol=1e-5, atol=1e-6)
