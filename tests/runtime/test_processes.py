"""Processes that do not agree, that are told to stop, and one run in a folder."""

import errno
import fcntl
import os
import signal
import threading

import pytest
from helpers import children, people

from imujax import UserError
from imujax.runtime import processes


def test_a_notice_is_heard_once_and_the_old_handler_returns():
    before = signal.getsignal(signal.SIGTERM)
    with processes.PreemptionNotice() as notice:
        assert not notice.stop_requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert notice.stop_requested() and notice.stop_requested()
    assert signal.getsignal(signal.SIGTERM) == before
    assert processes.PREEMPTED == 143


def test_two_processes_that_do_not_agree_end_with_a_sentence_each(tmp_path):
    """And where process 0 cannot build a data set, the other does not wait for it."""
    people.write_people(tmp_path / "raw" / "others", subjects=2, seconds=10)
    (tmp_path / "config.py").write_text(people.CONFIG)

    def run_pair(*options):
        place = ["--coordinator", f"localhost:{children.free_port()}", "--processes", "2"]
        words = [
            "pretrain",
            "--config",
            tmp_path / "config.py",
            "--data",
            tmp_path / "data",
            "--workdir",
            tmp_path / "work",
            "--raw",
            tmp_path / "raw",
            *place,
        ]
        logs = [tmp_path / f"{len(list(tmp_path.iterdir()))}_{i}.log" for i in "01"]
        group = [
            children.start([*words, "--process", i, *options[i]], log) for i, log in enumerate(logs)
        ]
        assert [children.wait(child) for child in group] == [2, 2]
        return [
            [line for line in log.read_text().splitlines() if line.startswith("imujax: ")]
            for log in logs
        ]

    batches = (["--config.encoders.small.batch=16"], ["--config.encoders.small.batch=32"])
    [[first], [second]] = run_pair(*batches)
    assert "process 1: batch is 32 here but 16 on process 0; start all processes" in second
    assert "process 0: process 1 has stopped: batch is 32 here" in first
    [[first], [second]] = run_pair(*[["--config.data_sets.moves.raw=nowhere"]] * 2)
    assert first.startswith("imujax: process 0: no folder ") and "nowhere" in first
    assert second == first.replace("process 0:", "process 1: process 0 has stopped:")


def test_a_folder_is_written_to_by_one_run_until_it_ends_in_any_way(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "CLAIM_TIMEOUT", 0.3)
    folder = tmp_path / "run"
    with children.claiming(folder) as other:
        sentence = (
            rf"writes to {folder} \(process {other.pid} on .*\): stop it, take .* delete {folder}"
        )
        with pytest.raises(UserError, match=sentence), processes.claim_folder(folder):
            pass
        assert capsys.readouterr().err.count("waiting up to 0.3 s for it to end") == 1
        with processes.claim_folder(tmp_path / "another"):
            pass
        with monkeypatch.context() as patch:  # a file system without locks
            patch.setattr(fcntl, "flock", refuse_to_lock)
            with processes.claim_folder(folder):
                pass
        monkeypatch.setattr(processes, "CLAIM_TIMEOUT", 60)
        threading.Timer(0.5, other.kill).start()
        with processes.claim_folder(folder):
            owner = (folder / processes.LOCK_FILE).read_text()
            assert f"process {os.getpid()} on" in owner and str(other.pid) not in owner


def refuse_to_lock(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_folder_that_cannot_be_written_to_is_left_to_who_writes_there(tmp_path):
    (tmp_path / "file").touch()
    with processes.claim_folder(tmp_path / "file" / "run"):
        pass
