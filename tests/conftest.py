"""What all tests share: virtual devices, the compilation cache, the real recordings."""

import os
import pathlib
import signal

import pytest

CACHE = pathlib.Path(__file__).parents[1] / ".cache" / "jax"

# Before jax is imported anywhere: four virtual devices, so that sharding is tested on any machine,
# patience between them, since a busy machine may let one of them wait for minutes, and programs
# that LLVM does not polish, which takes longer than they run.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    " --xla_cpu_collective_call_warn_stuck_timeout_seconds=300"
    " --xla_cpu_collective_call_terminate_timeout_seconds=600",
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")  # [T] + [B, T] is a mistake until shown
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


# Whoever is started behind a shell's back ignores Ctrl-C, and so would the tests' own processes.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Files with slow tests go first, so that no worker begins one when the others are done.

    Each file is one worker's (--dist loadfile), since its fixtures may take a minute.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def four_devices():
    """The batch is split over four devices, as it would be outside the tests."""
    return True


@pytest.fixture(autouse=True)
def one_device(request, monkeypatch):
    """Pre-training takes one device, unless a test asks for `four_devices` or for a number.

    Programs with collectives between CPU devices are compiled anew each time
    (sharding.call_collective), which only the tests that are about them shall wait for.
    """
    if "four_devices" in request.fixturenames:
        return
    from imujax.runtime import sharding

    make = sharding.make_mesh
    usual = {"data": 1, "run": None}
    monkeypatch.setattr(
        sharding, "make_mesh", lambda axis, number=None: make(axis, number or usual[axis])
    )


@pytest.fixture(scope="module")
def polished():
    """Kinematics of gait as LLVM polishes them: of many trials they take longer than that does."""
    import jax

    from imujax.simulate import gait

    options = {"xla_backend_optimization_level": 1}
    with pytest.MonkeyPatch.context() as patch:
        program = jax.jit(gait.kinematics.__wrapped__, compiler_options=options)
        patch.setattr(gait, "kinematics", program)
        yield


@pytest.fixture(scope="module")
def any_rank():
    """A lower rank is promoted, here and in child processes: the formulas of the simulated people
    hold for one person and for many, for an instant and for a curve."""
    import jax

    with pytest.MonkeyPatch.context() as patch, jax.numpy_rank_promotion("allow"):
        patch.setenv("JAX_NUMPY_RANK_PROMOTION", "allow")
        yield


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real recordings beside the checkout; the test is skipped where it is absent."""
    folder = pathlib.Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real recordings (shared/data beside the checkout) are not here")
    return folder
