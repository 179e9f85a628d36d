"""Where a process is: in made-up clusters, by their variables."""

import os
import re
import sys
import types

import pytest

from imujax import UserError
from imujax.runtime import cluster

# What srun sets for task 9 of 16 on four nodes of four GPUs; names and forms are SLURM's.
SRUN = {
    "SLURM_JOB_ID": "4100",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[03-06]",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_STEP_TASKS_PER_NODE": "4(x4)",
    "SLURM_NTASKS": "16",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
    "SLURM_GPUS_ON_NODE": "4",
}
PREFIXES = (
    "SLURM_",
    "IMUJAX_",
    "OMPI_",
    "KUBERNETES_",
    "JOB_",
    "CUDA_",
    "TPU_",
    "MEGASCALE_",
    "JAX_COORDINATOR",
    "JAX_LOCAL",
)


@pytest.fixture
def environ(monkeypatch):
    """Puts variables into an environment that has no others of any launcher."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        monkeypatch.delenv(name)

    def add(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return os.environ

    return add


def test_flags_come_before_variables_and_variables_before_detection(environ):
    assert cluster.find_place() is None
    environ(**SRUN)
    assert cluster.find_place().coordinator.startswith("gpu03:")
    environ(IMUJAX_COORDINATOR="head:1", IMUJAX_PROCESSES="4", IMUJAX_PROCESS="3")
    assert cluster.find_place() == ("head:1", 4, 3, None)
    flags = {"coordinator": "other:2", "processes": None, "process": "0"}
    assert cluster.find_place(flags) == ("other:2", 4, 0, None)
    assert cluster.find_place({"processes": "1", "process": "0"}) is None


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"COORDINATOR": "a:1"}, "IMUJAX_COORDINATOR is given but not --processes .* --process "),
        ({"PROCESSES": "2", "PROCESS": "0"}, r"not --coordinator \(or IMUJAX_COORDINATOR\)"),
        ({"COORDINATOR": "a", "PROCESSES": "2", "PROCESS": "0"}, "HOST:PORT of process 0, not 'a'"),
        ({"COORDINATOR": "a:1", "PROCESSES": "2", "PROCESS": "2"}, "counted from 0"),
        ({"COORDINATOR": "a:1", "PROCESSES": "two", "PROCESS": "0"}, "whole number .* not 'two'"),
        ({"COORDINATOR": "a:1", "PROCESSES": "2", "PROCESS": "-1"}, "whole number .* not '-1'"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(environ, variables, words):
    environ(**{f"IMUJAX_{name}": value for name, value in variables.items()})
    with pytest.raises(UserError, match=words):
        cluster.find_place()


def test_tasks_of_srun_have_a_gpu_each(environ):
    port = 4100 % 4096 + 65535 - 4095
    environ(**SRUN)
    assert cluster.find_place() == (f"gpu03:{port}", 16, 9, [1])
    environ(CUDA_VISIBLE_DEVICES="0,1,2,3")
    assert cluster.find_place().devices == [1]
    environ(CUDA_VISIBLE_DEVICES="1")  # --gpus-per-task: SLURM has chosen, jax must not again
    assert cluster.find_place().devices is None
    environ(JAX_LOCAL_DEVICE_IDS="0,1", CUDA_VISIBLE_DEVICES="0,1,2,3")
    assert cluster.find_place().devices == [0, 1]
    environ(SLURM_NTASKS="1", SLURM_STEP_NUM_TASKS="1", SLURM_PROCID="0")
    assert cluster.find_place() is None  # and so it sees all GPUs


def test_without_srun_it_says_so_and_does_not_wait(environ):
    batch = {
        "SLURM_JOB_ID": "4100",
        "SLURM_NTASKS": "16",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
    }
    variables = environ(**batch)
    assert cluster.find_place() is None
    assert "SLURM has 16 tasks" in cluster.warning_if_alone(variables)
    assert "srun" in cluster.warning_if_alone(variables)
    # The shell of salloc.
    variables = environ(SLURM_STEP_NODELIST="gpu03", SLURM_STEP_NUM_TASKS="1")
    assert cluster.find_place() is None and "srun" in cluster.warning_if_alone(variables)
    variables = environ(SLURM_NTASKS="1")
    assert cluster.find_place() is None and cluster.warning_if_alone(variables) is None


def test_open_mpi_and_tpu_pods_are_left_to_jax(environ, monkeypatch):
    environ(
        OMPI_MCA_orte_hnp_uri="8192.0;tcp://10.0.0.1,10.1.0.1:34911",
        OMPI_COMM_WORLD_SIZE="2",
        OMPI_COMM_WORLD_RANK="1",
        OMPI_COMM_WORLD_LOCAL_RANK="1",
        SLURM_NTASKS="2",
    )
    assert cluster.find_place()[1:] == (2, 1, [1])
    monkeypatch.delenv("OMPI_MCA_orte_hnp_uri")
    from jax._src.clusters import cloud_tpu_cluster
    from jax._src.clusters import cluster as jax_cluster

    for module in (cloud_tpu_cluster, jax_cluster):
        monkeypatch.setattr(module, "running_in_cloud_tpu_vm", True)
    environ(
        TPU_SKIP_MDS_QUERY="1",
        TPU_WORKER_HOSTNAMES="localhost,b,c,d",
        TPU_WORKER_ID="2",
        MEGASCALE_COORDINATOR_ADDRESS="localhost",
        MEGASCALE_NUM_SLICES="1",
        MEGASCALE_SLICE_ID="0",
    )
    assert cluster.find_place() == ("localhost:8482", 4, 2, None)


def test_kubernetes(environ, monkeypatch, recwarn):
    variables = environ(KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert (
        cluster.find_place() is None
        and cluster.warning_if_alone(variables) is None
        and not recwarn.list
    )
    # An indexed job whose image lacks the package that jax would need.
    variables = environ(JOB_COMPLETION_INDEX="3")
    assert cluster.find_place() is None and not recwarn.list
    assert "this is pod 3 of an indexed job" in cluster.warning_if_alone(variables)

    def refuse():
        raise RuntimeError("no token")

    config = types.SimpleNamespace(load_incluster_config=refuse)
    monkeypatch.setitem(sys.modules, "kubernetes", types.SimpleNamespace(config=config))
    with pytest.raises(UserError, match=r"cannot be found \(no token\); say where they are"):
        cluster.find_place()
    monkeypatch.delenv("JOB_COMPLETION_INDEX")  # a notebook's pod has nobody to find
    assert cluster.find_place() is None


def test_an_address_alone_is_not_enough(environ):
    environ(JAX_COORDINATOR_ADDRESS="head:1")
    with pytest.raises(UserError, match="JAX_COORDINATOR_ADDRESS is set, but"):
        cluster.find_place()


@pytest.mark.parametrize(
    ("used", "variables", "words"),
    [
        (1, SRUN, None),
        (1, SRUN | {"SLURM_STEP_TASKS_PER_NODE": "2(x4),1"}, "2 of the 4 GPUs .* stand idle"),
        (1, {"SLURM_GPUS_ON_NODE": "8", "SLURM_NTASKS_PER_NODE": "1"}, "7 of the 8 GPUs of this"),
        (8, {"SLURM_GPUS_ON_NODE": "8"}, None),
        (0, {"CUDA_VISIBLE_DEVICES": "0,1"}, r"2 of the 2 GPUs .*is jax\[cuda\] installed"),
        (2, {"CUDA_VISIBLE_DEVICES": "0,1"}, None),
        (1, {}, None),
    ],
)
def test_idle_gpus_are_named(used, variables, words):
    warning = cluster.warning_if_gpus_idle(used, variables)
    assert warning is None if words is None else re.search(words, warning)
