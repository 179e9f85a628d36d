"""Real child processes that run a command of imujax, and are ready in a fraction of a second.

They are forked by a server that has imported everything but has started no device: jax must not be
forked once its threads run.  So many of them can be killed in a test.
"""

import atexit
import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import time

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "imujax.study",
        "imujax.pretrain.loop",
        "tensorflow_datasets",
        "ml_collections.config_flags",
        "imujax.runtime.processes",
    ]
)


def start(words, log, devices: int = 1, pause: float = 0.0):
    """Run `imujax words` in a process of its own -> the process, with pid and exitcode.

    log: file that takes its stdout and stderr; devices: how many virtual ones it has; pause: s to
    wait after each step of pre-training, and five times as long before a checkpoint that is written
    gets its name, so that there is time to kill it.
    """
    child = SERVER.Process(target=_run, args=([str(w) for w in words], str(log), devices, pause))
    before = dict(os.environ)
    # For the server, which the first call starts: one thread, since it is to be forked.
    os.environ.update(OPENBLAS_NUM_THREADS="1")
    os.environ.pop("XLA_FLAGS", None)
    try:
        child.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return child


def _run(words, log, devices, pause):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    import jax

    from imujax import cli
    from imujax.runtime import processes

    jax.config.update("jax_num_cpu_devices", devices)
    stop_requested = processes.PreemptionNotice.stop_requested

    def stop_requested_late(self):
        time.sleep(pause)
        return stop_requested(self)

    processes.PreemptionNotice.stop_requested = stop_requested_late
    rename = os.rename

    def rename_late(source, target, **options):
        if ".orbax-checkpoint-tmp" in str(source):
            time.sleep(5 * pause)
        rename(source, target, **options)

    os.rename = rename_late
    sys.argv = ["imujax", *words]
    try:
        cli.main()
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out: jax says goodbye there


@contextlib.contextmanager
def claiming(folder):
    """Another process that says it writes to `folder` -> the process; killed in the end."""
    code = f"from imujax.runtime import processes\nwith processes.claim_folder({str(folder)!r}):\n"
    code += "    print(flush=True)\n    input()\n"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        try:
            assert child.stdout.readline() == b"\n"
            yield child
        finally:
            child.kill()


def wait(child, seconds: float = 300) -> int:
    """The exit status of a process; one that does not end is killed, and the test fails."""
    child.join(seconds)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise TimeoutError(f"process {child.pid} did not end within {seconds} s")
    return child.exitcode


def wait_until(child, condition, seconds: float = 300):
    """Poll until condition() is true; AssertionError where the process ends before."""
    end = time.monotonic() + seconds
    while not condition():
        assert child.is_alive(), f"ended with {child.exitcode} before it could be killed"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]
