"""Windows of any set: other rates and lengths, any sensors, one modality alone."""

import jax
import numpy as np
import pytest

from imujax.errors import UserError
from imujax.nets import networks, resnet
from imujax.pretrain import encoder

NETS = {
    "batch": resnet.tiny("batch"),
    "none": resnet.tiny("none"),
    "group": resnet.tiny("group"),
    "shared": resnet.tiny("batch") | {"shared": True},
    "dilated": {"network": "dilated", "width": 4, "dilations": (1, 4), "blocks": 1},
}
SCALES = {"acc": {"mean": 2.0, "sd": 5.0}, "gyr": {"mean": 0.1, "sd": 1.5}}
SECONDS, RATE = 1.28, 100.0


def make(name) -> encoder.Encoder:
    """An encoder of random weights and random statistics."""
    card = {"net": NETS[name], "window": round(SECONDS * RATE), "rate": RATE, "scales": SCALES}
    made = encoder.random_encoder(card, 3)
    rng = np.random.default_rng(0)
    stats = jax.tree.map(lambda x: x + rng.uniform(0, 0.2, x.shape).astype(x.dtype), made.stats)
    return encoder.Encoder(card, made.params, stats)


@pytest.fixture(scope="module", params=NETS)
def trained(request):
    return make(request.param)


def swing(rate, count=12, seconds=SECONDS, sensors=2, seed=0):
    """acc and gyr [N, T, S, 3] of units that swing and shake, below 13 Hz but for a millionth."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate))[:, None] / rate  # [T, 1]
    shape = (count, 1, sensors)
    beat = 2 * np.pi * rng.uniform(0.7, 2.0, shape)
    size, phase = rng.uniform(0.2, 0.5, shape), rng.uniform(0, 6, shape)
    angle = size * np.sin(beat * t + phase)  # [N, T, S]
    turning = size * beat * np.cos(beat * t + phase)
    acc = 9.81 * np.stack([np.sin(angle), np.cos(angle), 0 * angle], axis=-1)
    for _ in range(3):
        of_axes = (*shape, 3)
        shake = 2 * np.pi * rng.uniform(1.0, 8.0, of_axes) * t[..., None] + rng.uniform(0, 6)
        acc = acc + rng.normal(0, 0.7, of_axes) * np.sin(shake)
    return acc, np.stack([0 * turning, 0 * turning, turning], axis=-1)


def difference(h, other):
    """Root mean square, in SDs of the windows' embeddings."""
    return np.sqrt(np.mean((h - other) ** 2) / other.var(axis=0).mean())


def test_an_embedding_is_the_same_at_whichever_rate_movement_was_sampled(trained):
    """Within 1 % of the SD over windows; read as if at the encoder's rate they are far away."""
    h = trained.embed(*swing(RATE))
    for rate in (50.0, 60.0, 148.1481, 200.0):
        assert difference(trained.embed(*swing(rate), rate=rate), h) < 0.01
    assert difference(trained.embed(*swing(200.0)), h) > 0.15


def test_the_rate_of_the_encoder_changes_nothing(trained):
    acc, gyr = swing(RATE)
    np.testing.assert_array_equal(trained.embed(acc, gyr, rate=RATE), trained.embed(acc, gyr))


def test_lengths_are_told_in_samples_of_the_windows(trained):
    acc, gyr = swing(200.0)
    length = np.arange(256 - 12, 256)
    h = trained.embed(acc, gyr, length, rate=200.0)
    acc[np.arange(256) >= length[:, None]] = np.nan
    np.testing.assert_array_equal(trained.embed(acc, gyr, length, rate=200.0), h)
    alone = trained.embed(acc[5:6, : length[5]], gyr[5:6, : length[5]], rate=200.0)
    np.testing.assert_allclose(alone[0], h[5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("samples", [61, 200])
def test_a_window_of_another_length_is_embedded_whole(trained, samples):
    """As one that is filled up, whose end `length` tells; and not as the first part of it."""
    acc, gyr = swing(RATE, seconds=samples / RATE)
    h = trained.embed(acc, gyr)
    room = [(0, 0), (0, max(0, 140 - samples)), (0, 0), (0, 0)]
    filled = (np.pad(x, room) for x in (acc, gyr))
    length = np.full(len(acc), samples)
    np.testing.assert_allclose(trained.embed(*filled, length), h, atol=2e-5)
    if samples > 128:
        assert difference(trained.embed(acc[:, :128], gyr[:, :128]), h) > 0.05


@pytest.mark.parametrize("rate", [RATE, 50.0])
def test_a_modality_that_is_alone_is_embedded_by_its_tower(trained, rate):
    acc, gyr = swing(rate)
    count, _, sensors, _ = acc.shape
    own = networks.make_encoder(trained.card["net"])
    apply = jax.jit(own.apply)
    both = trained.embed(acc, gyr, rate=rate).reshape(count, sensors, 2, own.embedding)
    for number, (name, x) in enumerate((("acc", acc), ("gyr", gyr))):
        h = trained.embed(*(x if one == name else None for one in ("acc", "gyr")), rate=rate)
        assert h.shape == (count, sensors * own.embedding) and h.dtype == np.float32
        np.testing.assert_allclose(
            h.reshape(count, sensors, -1), both[:, :, number], rtol=1e-4, atol=1e-5
        )
        if rate != RATE:
            continue
        key = "encoder" if trained.card["net"].get("shared") else f"{name}_encoder"
        parts = {"params": trained.params, "batch_stats": trained.stats}
        variables = {kind: tree[key] for kind, tree in parts.items() if tree}
        scaled = (x - SCALES[name]["mean"]) / SCALES[name]["sd"]
        for sensor in range(sensors):
            by_hand = apply(variables, scaled[:, :, sensor].astype(np.float32))
            np.testing.assert_allclose(
                h.reshape(count, sensors, -1)[:, sensor], by_hand, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("name", ["batch", "shared"])
def test_sensors_are_embedded_by_themselves_as_many_as_there_are(name):
    trained = make(name)
    acc, gyr = swing(RATE, sensors=5)
    h = trained.embed(acc, gyr).reshape(12, 5, -1)
    turned = trained.embed(acc[:, :, ::-1], gyr[:, :, ::-1]).reshape(12, 5, -1)
    np.testing.assert_allclose(turned, h[:, ::-1], rtol=1e-4, atol=1e-5)
    for sensor in range(5):
        alone = trained.embed(acc[:, :, sensor], gyr[:, :, sensor])
        np.testing.assert_allclose(alone, h[:, sensor], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (lambda a, g: (a, g), {"rate": 19.9}, r"have 19.9 Hz, .*sees 100: .*from 20 to 200 Hz"),
        (lambda a, g: (a, g), {"rate": 201.0}, "resample the recordings to 100 Hz first"),
        (lambda a, g: (a, g), {"rate": 0.0}, "from 20 to 200 Hz"),
        (lambda a, g: (a, g), {"rate": float("nan")}, "from 20 to 200 Hz"),
        (lambda a, g: (a, g), {"rate": 20.0}, "128 samples at 20 Hz last 6.4 s.* 1.28 s, 128 sam"),
        (lambda a, g: (a[:, :31], g[:, :31]), {}, "windows of 31 samples at 100 Hz last 0.31 s"),
        (lambda a, g: (None, None), {}, "acc and gyr are both None: .* one of them or both"),
        (lambda a, g: (a[..., :2], None), {}, r"acc \(12, 128, 2, 2\) must be \[windows"),
        (lambda a, g: (a / 9.81, None), {}, r"acc reads .*is it in g\?"),
        (lambda a, g: (None, g * 57.3), {}, r"gyr reads .*is it in deg/s\?"),
        (lambda a, g: (g, None), {}, "acc reads .*without gravity"),
        (lambda a, g: (None, np.where(g == g[2, 7, 1, 2], np.nan, g)), {}, "gyr is not .* 7 of wi"),
        (lambda a, g: (a, None), {"length": [3]}, "length must be a whole number from 1 to 128"),
    ],
)
def test_what_cannot_be_embedded_is_one_sentence(change, options, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        make("none").embed(*change(*swing(RATE)), **options)
    assert "\n" not in str(error.value)
