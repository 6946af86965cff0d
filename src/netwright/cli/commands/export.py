"""`netwright export RUN [FILE]`: a network as a file that other programs run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.progress import written
from netwright.cli.screen import Call
from netwright.core.escaping import terminal
from netwright.core.languages import say

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.core.events import Noted
    from netwright.tasks.exporting import Exported


@COMMANDS.register(
    "export",
    group="Use a run",
    usage="RUN [FILE] [--format NAME]",
    about="The ending of FILE says the format: .onnx, .pt2 (torch.export) or .safetensors (weights "
    "alone). Without FILE it is RUN.onnx, here. The file takes images as they are stored, uint8 of "
    "the run's height and width and any number at a time, and gives logits and probabilities: the "
    "preprocessing is inside. It is run on real images and compared with the network; where the "
    "two differ, nothing is written and the exit status is 4.",
    examples=(
        "netwright export latest",
        "netwright export latest digits.onnx",
        "netwright export latest digits.pt2 --json | jq .parity",
        "netwright export latest digits.onnx --images photos/ --yes",
    ),
)
def export(
    run: Annotated[str, Parameter(help="a path, latest, or a name under runs/")],
    file: Annotated[str | None, Parameter(help="the file to write")] = None,
    /,
    *,
    format: Annotated[  # noqa: A002
        str | None,
        Parameter(
            name=["--format", "--to"],
            metavar="NAME",
            help="onnx, torch-export or safetensors, for any ending",
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        Parameter(
            metavar="PATH",
            help="images to check it on: a file or folder; may be repeated",
        ),
    ] = None,
    yes: Annotated[bool, Parameter(help="replace FILE if it is there")] = False,
    trust_code: Annotated[
        bool, Parameter(help="run the copy of a model file that a run carries")
    ] = False,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Write a network to a file that other programs run."""
    from netwright.tasks.exporting import export as write

    def announce(note: Noted) -> None:
        if not call.quiet:
            print(written(note), file=sys.stderr)

    found = write(
        run,
        file,
        format=format,
        images=images or (),
        overwrite=yes,
        trust_code=trust_code,
        announce=announce,
    )
    call.result(found.to_json(), _lines(found))
    if not call.json:
        for number, line in enumerate(found.example):
            call.note("" if number else say("Next:"), "{line}", line=line)
    return 0


def _lines(found: Exported) -> Iterator[str]:
    size = f"{found.bytes / 1e6:.3g} MB"
    yield say(
        "wrote    {path}   {kind}, {size}", path=terminal(found.path), kind=_kind(found), size=size
    )
    if found.input is None:
        yield say("inside   weights alone; architecture, input and classes in the metadata")
    else:
        channels, height, width = found.input["shape"][1:]
        yield say(
            "takes    {name}: {dtype} (N, {channels}, {height}, {width}), any N; "
            "preprocessing is inside",
            name=found.input["name"],
            dtype=found.input["dtype"],
            channels=channels,
            height=height,
            width=width,
        )
        outputs = ", ".join(each["name"] for each in found.outputs)
        yield say("gives    {outputs}", outputs=outputs)
    parity = found.parity
    yield say(
        "parity   {images}, batches of {batches}: logits differ by up to {logits:.1e}, "
        "probabilities by {probability:.1e}; same class first on {agree}/{count}",
        images=_images(found),
        batches=", ".join(map(str, parity.batches)),
        logits=parity.max_abs_logits,
        probability=parity.max_abs_probability,
        agree=parity.agree,
        count=parity.images,
    )
    if "file" in found.milliseconds:
        yield say(
            "speed    {file:.3g} ms an image, {torch:.3g} in torch (batch {batch}, one thread, "
            "median)",
            file=found.milliseconds["file"],
            torch=found.milliseconds["torch"],
            batch=found.timed_batch,
        )


def _kind(found: Exported) -> str:
    return found.kind if found.opset is None else f"{found.kind} opset {found.opset}"


def _images(found: Exported) -> str:
    """Where the images of the check are from, in words."""
    count = found.parity.images
    if found.source == "validation":
        return say("{count} validation images", count=count)
    if found.source == "given":
        return say("{count} given images", count=count)
    return say("{count} images kept in the run", count=count)
