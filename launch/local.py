"""Several processes of one pre-training on this machine, which end together.

    python launch/local.py 2 --config configs/public.py --data data --workdir work/public
    python launch/local.py --dry-run 2 --config ...

Process I of N is `imujax pretrain ... --coordinator localhost:PORT --processes N --process I`.
Where CUDA_VISIBLE_DEVICES names GPUs, each process gets its share of them.  As soon as one fails,
the others are ended, since they would wait for it; SIGTERM is passed on, so that all save the same
step and the exit status is 143.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time

PATIENCE = 20  # s between asking the others to end and ending them


def list_commands(count: int, words: list[str], port: int, environ) -> list[tuple[list[str], dict]]:
    """What runs: for each process its words and what is added to the environment."""
    gpus = [gpu for gpu in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    if len(gpus) % count:
        sys.exit(
            f"local.py: {len(gpus)} GPUs in CUDA_VISIBLE_DEVICES cannot be shared out over "
            f"{count} processes; name a multiple of {count}"
        )
    share = len(gpus) // count
    commands = []
    for number in range(count):
        place = ["--coordinator", f"localhost:{port}", "--processes", count, "--process", number]
        command = [sys.executable, "-m", "imujax", "pretrain", *words, *map(str, place)]
        visible = ",".join(gpus[number * share : (number + 1) * share])
        commands.append((command, {"CUDA_VISIBLE_DEVICES": visible} if gpus else {}))
    return commands


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def wait_for_all(started: list[subprocess.Popen]) -> int:
    """Wait for all processes; the status of the first that fails, 0 if none does."""
    while True:
        ended = [process.poll() for process in started]
        failed = [status for status in ended if status]
        if failed or None not in ended:
            break
        time.sleep(0.2)
    # The others may be about to end by themselves, as after a SIGTERM to all of them.
    until = time.monotonic() + PATIENCE
    while None in [process.poll() for process in started]:
        if failed[0] != 128 + signal.SIGTERM or time.monotonic() > until:
            for process in started:
                process.kill()
        time.sleep(0.05)
    status = failed[0] if failed else 0
    return 128 - status if status < 0 else status  # as a shell reports a signal


def main(words: list[str]) -> int:
    dry = words[:1] == ["--dry-run"]
    words = words[dry:]
    if not words or not words[0].isdigit() or words[0] == "0":
        sys.exit("local.py: say how many processes: python launch/local.py 2 --config ...")
    commands = list_commands(int(words[0]), words[1:], free_port(), os.environ)
    if dry:
        for command, added in commands:
            print(shlex.join([f"{name}={value}" for name, value in added.items()] + command))
        return 0
    started = [subprocess.Popen(command, env=os.environ | added) for command, added in commands]

    def pass_on(number, _):
        for process in started:
            process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    try:
        return wait_for_all(started)
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
