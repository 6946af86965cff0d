"""`netwright launch --print`: files that start the command which was given, on every machine."""

from __future__ import annotations

import shlex
import subprocess

import pytest
import yaml

from netwright.cli import main

JOB = ["launch", "my data/", "resnet20", "batch=512", "--nodes", "2", "--per-node", "4"]


def printed(capsys, *words):
    status = main([*JOB, *words])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def test_a_slurm_script_is_a_shell_script_that_runs_torchrun_on_each_machine(capsys, tmp_path):
    script = printed(capsys, "--print", "slurm", "--run-dir", "/shared/run")
    assert "#SBATCH --nodes=2" in script
    assert "#SBATCH --gpus-per-node=4" in script
    # Run with stand-ins for Slurm's commands: what would torchrun be given?
    for name, body in {
        "scontrol": "echo node7; echo node8",
        "srun": 'printf "%s\\n" "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    told = subprocess.run(
        ["bash", "-eu", "-c", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": "n"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.splitlines() == [
        "torchrun", "--nnodes=2", "--nproc-per-node=4", "--max-restarts=3",
        "--rdzv-id=9", "--rdzv-endpoint=node7:29500", "--rdzv-backend=c10d",
        "-m", "netwright", "train", "my data/", "resnet20", "batch=512",
        "--run-dir", "/shared/run", "--resume", "auto",
    ]  # fmt: skip


def test_a_kubernetes_file_has_a_job_and_the_service_it_is_found_by(capsys):
    text = printed(capsys, "--print", "k8s", "--image", "registry/netwright:1", "--cpu")
    service, job = yaml.safe_load_all(text)
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    (container,) = pod["containers"]
    assert container["image"] == "registry/netwright:1"
    # Relative paths, the run folder's too, lie on the disk that all share.
    assert container["workingDir"] == container["volumeMounts"][0]["mountPath"]
    wait = {each["name"]: each["value"] for each in container["env"]}
    assert int(wait["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]) < pod["terminationGracePeriodSeconds"]
    assert "resources" not in container
    words = shlex.join(container["command"])
    assert "--rdzv-endpoint=netwright-0.netwright:29500" in words
    assert words.endswith(
        "train 'my data/' resnet20 batch=512 --run-dir runs/launched --resume auto"
    )


@pytest.mark.parametrize(
    ("words", "names"), [([], "IMAGE, CLAIM"), (["--image", "registry/netwright:1"], "CLAIM")]
)
def test_what_is_to_be_filled_in_is_said(capsys, words, names):
    assert main([*JOB, "--print", "k8s", *words]) == 0
    assert f"Put your own for {names} before" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--print", "slurm", "batch=4"], "batch: 4 is fewer images than devices=8. Set batch=8"),
        (["--print", "slurm", "batch=100"], "batch: 100 cannot be shared equally among devices=8."),
        (["--print", "slurm", "devices=8"], "devices is given by --nodes and --per-node here."),
        (["--print", "slurm", "optim.lrr=1"], "optim.lrr"),
        (["--print", "slrum"], "slrum"),
    ],
)
def test_what_would_fail_on_the_cluster_fails_here(capsys, words, said):
    assert main([*JOB, *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_launch_on_no_machine_is_refused(capsys):
    assert main(["launch", "digits", "--print", "k8s", "--nodes", "0"]) == 2
    assert "--nodes: 0 is not allowed" in capsys.readouterr().err
