"""What a configuration would run on a machine: here the four virtual devices, by the CPU's
compiler, stand in for its chips; test_tpu.py asks that of TPUs."""

import argparse
import dataclasses
import importlib.util
import pathlib
import re

import jax
import pytest
from helpers import people
from ml_collections import ConfigDict

from imujax import UserError, cli
from imujax.compiled import hlo, machines, page, programs
from imujax.configs import common
from imujax.data import builders
from imujax.nets import arithmetic, resnet
from imujax.runtime import sharding
from imujax.simulate import stream

BATCH, WINDOW = 64, 48


def encoder(**changes) -> ConfigDict:
    fields = {"window": WINDOW, "batch": BATCH, "steps": 4, "rotation": 20.0, "noise": (0.1, 0.01)}
    fields["net"] = resnet.tiny("none") | {"stages": (1,), "projection": (16,)}
    return common.encoder(("moves",), **fields | changes)


@pytest.fixture
def slice_(four_devices, monkeypatch) -> machines.Machine:
    monkeypatch.setattr(machines, "describe", lambda _, axis: sharding.make_mesh(axis, 4))
    return machines.parse_machine("v5e:2x2")


def sent(made) -> list[tuple[str, float, int]]:
    return sorted((each.kind, each.size, each.times) for each in made.account.collectives)


@pytest.mark.parametrize(("norm", "microbatch"), [("none", 0), ("none", 4), ("batch", 0)])
def test_no_collective_carries_activations(slice_, norm, microbatch):
    """What is sent does not grow with the windows: gradients, embeddings, the norm's statistics."""
    changes = {"microbatch": microbatch, "net": encoder().net.to_dict() | {"norm": norm}}
    made = programs.compile_pretraining("e", encoder(**changes), slice_)
    longer = programs.compile_pretraining("e", encoder(window=2 * WINDOW, **changes), slice_)
    assert sent(made) == sent(longer) and sent(made)
    assert longer.account.moved > 1.3 * made.account.moved
    state = jax.eval_shape(lambda: programs.step.init_state(encoder(**changes), 0))
    weights = 4 * sum(x.size for x in jax.tree.leaves((state["params"], state["stats"])))
    assert sum(size * times for _, size, times in sent(made)) < 2 * weights + 4 * BATCH * 16 * 8


def test_arithmetic_and_memory_of_a_step(slice_):
    made = programs.compile_pretraining("e", encoder(), slice_)
    per_pair, width = arithmetic.training_flops(encoder().net, WINDOW), 16
    assert made.flops == BATCH * per_pair + 6 * BATCH**2 * width
    # The first layer has no gradient with respect to the signals.
    assert 0.8 * made.flops < made.executed < 1.1 * made.flops
    again = programs.compile_pretraining("e", encoder(microbatch=4), slice_)
    assert 1.2 * made.executed < again.executed < 1.5 * made.executed  # the forward pass twice
    assert made.chips == 4 and made.count == BATCH
    given = programs.compile_pretraining("e", encoder(resident=False), slice_)
    window = 2 * WINDOW * 3 * 4 + 2 * 4  # bytes, with its length and number
    more = made.memory["arguments"] - given.memory["arguments"]
    assert more == pytest.approx((programs.RESIDENT - BATCH / 4) * window, rel=0.01)
    assert made.is_resident and not given.is_resident
    beside = programs.compile_pretraining("e", encoder(beside={"forces": 1.0}), slice_)
    more = beside.memory["arguments"] - made.memory["arguments"]
    # Six forces a sample beside the six signals; the heads' parameters are little beside that.
    assert more == pytest.approx(16384 * (2 * WINDOW * 6 * 4 + 4), rel=0.05)
    assert beside.executed > 1.5 * made.executed


def test_the_largest_batch_is_where_the_memory_ends(slice_):
    section = encoder(resident=False)
    made = programs.compile_pretraining("e", section, slice_)
    tight = dataclasses.replace(slice_.chip, memory=3 * made.filled)
    small = dataclasses.replace(slice_, chip=tight)
    largest = programs.largest_batch(section, small, made)
    assert largest > BATCH and largest % 4 == 0
    filled = programs.compile_pretraining("e", section, small, largest).filled
    assert 0.8 * tight.memory < filled < 1.2 * tight.memory


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    place = people.write_study(folder)
    raw = place["raw"] / "people"
    builders.build("tabular", raw, place["data"], card=str(raw / "force.toml"))
    return place


def test_a_sweep_sends_nothing(slice_, place):
    config = cli.load_configuration(str(place["config"]), [])
    (made,) = programs.compile_all(
        config, slice_, ("sweep",), lambda name: next(place["data"].glob("tabular/force*/1.*"))
    )
    assert not made.account.collectives and made.chips == 4
    assert made.count % (4 * 32) == 0 and "runs" in made.title
    net = config.encoders.small.net
    per_window = arithmetic.training_flops(net, 32)
    assert made.flops == pytest.approx(made.count * per_window, rel=0.1)  # but for the heads


def test_a_sweep_without_its_data_set_is_refused(slice_, place):
    config = cli.load_configuration(str(place["config"]), [])
    with pytest.raises(UserError, match="the sweep of force needs its labelled data set: give"):
        list(programs.compile_all(config, slice_, ("sweep",)))


def made_up_people(key, options, count, rate, length):
    """In place of stream.simulate_windows, whose program takes a minute to compile."""
    shape = (count, options["windows"], len(options["sensors"]), length, 3)
    return tuple(jax.random.normal(k, shape) for k in jax.random.split(key))


def test_pages_of_a_stream_and_of_a_program_that_does_not_fit(slice_, monkeypatch):
    monkeypatch.setattr(stream, "simulate_windows", made_up_people)
    section = encoder()
    section.data, section.stream = (), {"gait": 0.5, "sensors": ("hand_r",), "windows": 2}
    config = ConfigDict({"seed": 0, "encoders": {"endless": section}, "tasks": {}})
    first, second = page.describe_all(config, "v5e:2x2")
    assert first[0] == "encoder endless, a step of pre-training, on v5e:2x2, 4 chips"
    assert second[0] == "encoder endless, people simulated for a batch, on v5e:2x2, 4 chips"
    assert any("largest batch" in line for line in first)
    small = dataclasses.replace(slice_.chip, memory=1e5)
    monkeypatch.setitem(machines.CHIPS, "v5e", small)
    pages = page.describe_all(config, "v5e:2x2", "pretrain")
    next(pages)
    with pytest.raises(UserError, match=r"GiB do not fit v5e:2x2, whose chips have 0.00: take"):
        next(pages)
    with pytest.raises(UserError, match="--what names 'all': there are pretrain, sweep, simulate"):
        next(page.describe_all(config, "v5e:2x2", "all"))
    with pytest.raises(UserError, match="the configuration has nothing to sweep"):
        next(page.describe_all(config, "v5e:2x2", "sweep"))


def test_what_a_page_says():
    """On four v5e: 19.7 TFLOP a chip take .1 s, 81.9 GB .1 s more than that, and so on."""
    account = hlo.Account(163.8e9, (hlo.Collective("all-reduce", 2e9, 3),), 1)
    memory = {"arguments": 1.0 * 2**30, "temporaries": 2.0 * 2**30}
    made = programs.Compiled(
        title="a step",
        encoder="e",
        unit="pairs",
        count=4000,
        chips=4,
        flops=4 * 9.85e12,
        executed=4 * 19.7e12,
        is_narrow=True,
        memory=memory,
        account=account,
        seconds=7.0,
    )
    machine = machines.parse_machine("v5e:2x2")
    assert page.bounds(made, machine) == pytest.approx(
        {"arithmetic": 0.1, "bytes": 0.2, "collectives": 0.09}
    )
    text = "\n".join(page.describe(made, machine, 9000))
    assert "3.00 of 15.75 GiB a chip: arguments 1.00, temporaries 2.00" in text
    assert "bytes          200 ms: 153 GiB a chip at 819 GB/s  <- binds" in text
    assert "collectives    90 ms: 3 all-reduce of 5.72e+03 MiB, the largest 1.91e+03, 90 ms" in text
    assert "so at best     200 ms, 20,000 pairs/s, 25% of the peak" in text
    assert "largest batch  about 9,000 pairs" in text
    assert "1 of a length not known count once" in text
    wide = dataclasses.replace(made, is_narrow=False)
    assert page.bounds(wide, machines.parse_machine("h100:4"))["arithmetic"] == pytest.approx(
        19.7e12 / 494.5e12
    )


def test_the_benchmark_beside_what_its_program_would_take(slice_, monkeypatch, capsys):
    """Its sentence for a small network, as if this were a TPU; no chip here has published rates."""
    path = pathlib.Path(__file__).parents[2] / "launch" / "bench_step.py"
    spec = importlib.util.spec_from_file_location("bench_step", path)
    bench_step = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench_step)
    monkeypatch.setattr(bench_step, "TURN", 0.01)
    monkeypatch.syspath_prepend(path.parent)
    options = {"nets": "tiny", "norm": "none", "batches": "8", "dtype": "float32", "repeats": 2}
    with pytest.raises(UserError, match="nobody has published rates of 'cpu' here: v4, v5e"):
        bench_step.report_against_compiled(argparse.Namespace(**options))
    monkeypatch.setattr(machines, "this_machine", lambda: slice_)
    bench_step.report_against_compiled(argparse.Namespace(**options))
    hardware, said = capsys.readouterr().out.split("\n", 1)
    assert hardware.endswith(f"cpu, jax {jax.__version__}")
    found = re.match(
        r"tiny +8 +([\d.]+) ms +\d+ pairs/s, by bytes at best ([\d.]+) ms on v5e:2x2: ([\d.]+) "
        r"times that, 0% of the peak\n",
        said,
    )
    measured, best, times = map(float, found.groups())
    assert 0 < best < measured and times > 1
