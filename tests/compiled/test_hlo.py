"""What a compiled program moves, against XLA's own account where there is no loop, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imujax.compiled import hlo
from imujax.runtime import sharding

X, M, N = jnp.ones(1000), jnp.ones((64, 128)), jnp.ones((128, 32))


def read(function, *arguments):
    compiled = jax.jit(function).lower(*arguments).compile()
    return hlo.read_program(compiled.as_text(), False), compiled.cost_analysis()["bytes accessed"]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (lambda a, b: a + b, (X, X)),
        (lambda a, b: a @ b, (M, N)),
        (lambda a, b: jnp.tanh(a @ b).sum(0), (M, N)),
        (lambda a: jax.lax.dynamic_slice(a, (3,), (10,)), (X,)),
        (lambda a: jnp.sort(a)[:10], (X,)),
    ],
    ids=["sum", "product", "fusion", "slice", "sort"],
)
def test_without_loops_it_is_what_xla_counts(function, arguments):
    account, expected = read(function, *arguments)
    assert account.moved == pytest.approx(expected, rel=0.01) and expected > 0
    assert not account.collectives and not account.endless


def test_the_body_of_a_loop_counts_as_often_as_it_runs():
    def loop(steps):
        def step(carry, _):
            return jnp.sin(carry) @ M.T @ M / 9, None

        return lambda a: jax.lax.scan(step, a, None, length=steps)[0]

    a = jnp.ones((500, 128))
    moved = [read(loop(steps), a)[0].moved for steps in (10, 20, 40)]
    once = [read(loop(steps), a)[1] for steps in (10, 40)]
    assert moved[2] - moved[1] == pytest.approx(2 * (moved[1] - moved[0]), rel=0.01)
    assert moved[1] - moved[0] > 10 * a.nbytes  # each writes and reads it
    assert once[0] == pytest.approx(once[1], rel=0.01)  # XLA's account does not know


def test_a_loop_of_unknown_length_counts_once_and_is_told():
    account, _ = read(lambda a, n: jax.lax.fori_loop(0, n, lambda _, c: c * 2 + 1, a), X, 7)
    assert account.endless == 1


def test_what_devices_send(four_devices):
    """An all-reduce of 4,000 bytes five times, in a loop; an all-gather and a permutation."""
    mesh = sharding.make_mesh("data", 4)
    own, every = sharding.sharded(mesh), sharding.replicated(mesh)
    a = jax.ShapeDtypeStruct((4000,), np.float32, sharding=own)

    def local(x):
        def step(carry, _):
            return jax.lax.psum(carry, "data") / 4, None

        x += 2 * jnp.sin(jax.lax.ppermute(x, "data", [(i, (i + 1) % 4) for i in range(4)]))
        return jax.lax.scan(step, x, None, length=5)[0]

    mapped = sharding.map_rows(lambda _, x: (local(x), ()), mesh)
    compiled = jax.jit(lambda x: mapped((), x)[0] * 2, out_shardings=every).lower(a).compile()
    found = hlo.read_program(compiled.as_text(), False).collectives
    sent = {each.kind: (each.size, each.times) for each in found}
    assert sent == {
        "all-reduce": (4000.0, 5),
        "collective-permute": (4000.0, 1),
        "all-gather": (4000.0, 1),
    }


def test_tiles_are_filled_up_and_fast_memory_moves_nothing():
    """A TPU's layouts, written by hand: 3 of 8 rows and 100 of 128 columns; bfloat16; S(1)."""
    text = """HloModule m, is_scheduled=true

ENTRY %main.1 (a.1: f32[3,100], b.1: bf16[100]) -> f32[3,100] {
  %a.1 = f32[3,100]{1,0:T(8,128)} parameter(0)
  %b.1 = bf16[100]{0:T(256)(128)(2,1)} parameter(1)
  %near = f32[3,100]{1,0:T(8,128)S(1)} copy(%a.1), metadata={op_name="jit(f)/copy (a)"}
  %wide = f32[100]{0:T(128)S(1)} convert(%b.1)
  ROOT %out = f32[3,100]{1,0:T(8,128)} add(%near, %wide)
}
"""
    padded = 8 * 128 * 4.0
    assert hlo.read_program(text, True).moved == padded + 256 * 2 + padded
    everything = padded + padded + (512 + 512) + padded + 512 + padded
    assert hlo.read_program(text, False).moved == everything


def test_what_is_begun_and_ended_counts_once():
    """A TPU fetches a part ahead, 256 of 1,024 numbers to S(1); and copies, and sends the rest."""
    text = """HloModule m

ENTRY %main (a: f32[1024], b: f32[256]) -> f32[2048] {
  %a = f32[1024]{0} parameter(0)
  %b = f32[256]{0} parameter(1)
  %s = ((f32[1024]{0}), f32[256]{0:S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:256]}
  %sd = f32[256]{0:S(1)} slice-done(%s)
  %c = (f32[256]{0:S(1)}, f32[256]{0}, u32[]{:S(2)}) copy-start(%b)
  %cd = f32[256]{0:S(1)} copy-done(%c)
  %n = s32[]{:S(2)} constant(3)
  %d = f32[128]{0:S(1)} dynamic-slice(%a, %n), dynamic_slice_sizes={128}
  %u = f32[1024]{0} dynamic-update-slice(%a, %d, %n)
  %g = (f32[1024]{0}, f32[2048]{0}) all-gather-start(%u), channel_id=1, dimensions={0}
  ROOT %gd = f32[2048]{0} all-gather-done(%g)
}
"""
    account = hlo.read_program(text, True)
    assert account.moved == 4 * (256 + 256 + 128 + 128 + 1024 + 2048)
    assert account.collectives == (hlo.Collective("all-gather", 4096.0, 1),)


def test_a_collective_that_is_spread_over_fusions_is_one():
    text = """HloModule m

%started (p.1: f32[16]) -> f32[64] {
  %p.1 = f32[16]{0} parameter(0)
  ROOT %g.1 = f32[64]{0} all-gather(%p.1), channel_id=3, dimensions={0}
}

%ended (p.2: f32[16]) -> f32[64] {
  %p.2 = f32[16]{0} parameter(0)
  ROOT %g.2 = f32[64]{0} all-gather(%p.2), channel_id=3, dimensions={0}
}

ENTRY %main (a: f32[16]) -> f32[64] {
  %a = f32[16]{0} parameter(0)
  %one = f32[64]{0} fusion(%a), kind=kCustom, calls=%started
  ROOT %two = f32[64]{0} fusion(%a), kind=kCustom, calls=%ended
}
"""
    account = hlo.read_program(text, False)
    assert account.collectives == (hlo.Collective("all-gather", 64.0, 1),)
    assert account.moved == 2 * (64 + 256)
