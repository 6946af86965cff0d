"""`netwright launch DATA [MODEL] [key=value ...] --print KIND`: a launch file for a cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.errors import SettingError


@COMMANDS.register(
    "launch",
    group="Train",
    usage="DATA [MODEL] [key=value ...] --print slurm|k8s",
    settings="any setting of the run, such as epochs=5 optim.lr=0.1 aug.flip=true",
    about="The file is printed, nothing is started. It has torchrun on every machine run the "
    "same command, which goes on from the newest checkpoint whenever it is started again. "
    "All machines need the data and --run-dir under the same paths.",
    examples=(
        "netwright launch flowers/ resnet20 --print slurm --nodes 2 --per-node 4",
        "netwright launch digits --print k8s --nodes 2 --image registry/nw:1",
    ),
)
def launch(
    data: Annotated[str, Parameter(help="what to learn from, as for netwright train")],
    model: Annotated[str | None, Parameter(help="which network; the recipe names one")] = None,
    /,
    *,
    print: Annotated[Literal["slurm", "k8s"], Parameter(help="for which kind of cluster")],  # noqa: A002
    nodes: Annotated[int, Parameter(metavar="N", help="machines")] = 1,
    per_node: Annotated[int, Parameter(metavar="N", help="processes on each, one a GPU")] = 2,
    run_dir: Annotated[
        str, Parameter(metavar="DIR", help="the run folder, on a disk that all share")
    ] = "runs/launched",
    cpu: Annotated[bool, Parameter(help="ask for no GPUs")] = False,
    image: Annotated[str, Parameter(metavar="NAME", help="container image, for k8s")] = "IMAGE",
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Print a launch file for several machines."""
    from netwright.core.languages import Series
    from netwright.tasks.launch_files import KINDS, Job
    from netwright.tasks.settings import resolve, tokens

    if "devices" in tokens(call.settings):
        raise SettingError(
            "devices is given by --nodes and --per-node here.", hint="Leave devices=... out."
        )
    job = Job(
        words=[data, *([model] if model is not None else []), *call.settings],
        nodes=nodes,
        per_node=per_node,
        run_dir=run_dir,
        gpus=not cpu,
        image=image,
    )
    # Wrong settings are told here, and not by a job that has waited for its turn.
    resolve(
        data=data,
        model=model,
        settings=call.settings,
        shorthands={"devices": nodes * per_node},
    )
    text = KINDS[print](job)
    if print == "k8s":
        names = [*(["IMAGE"] if image == "IMAGE" else []), "CLAIM"]
        call.note(
            "NOTE",
            "Put your own for {names} before the file is applied: CLAIM is the volume claim that "
            "all pods share, mounted at /shared, where relative paths begin.",
            names=Series(names, between=", "),
        )
    call.result({"kind": print, "file": text}, text.rstrip("\n").split("\n"))
    return 0
