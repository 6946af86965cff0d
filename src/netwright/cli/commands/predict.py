"""`netwright predict RUN IMAGES...`: what a network says about images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from netwright.cli.columns import pad, width
from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.atomic import write_text
from netwright.core.errors import DataError, SettingError
from netwright.core.escaping import csv_cell, terminal
from netwright.core.languages import say
from netwright.core.places import refuse_missing_folder

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.tasks.using import Prediction, Predictions

UNSURE = 0.1
"""A lead over the second class below this is called unsure: two classes are then about equal."""


@COMMANDS.register(
    "predict",
    group="Use a run",
    usage="RUN IMAGES... [-o out.csv]",
    about="IMAGES are files and folders of them. The run brings its own preprocessing and class "
    "names. A file that cannot be read gets a line of its own and the others go on. In a CSV file "
    "an apostrophe is put before a text that begins with = + - or @, which a spreadsheet would "
    "take for a formula.",
    examples=(
        "netwright predict latest photos/*.jpg",
        "netwright predict latest photos/ -o labels.csv",
        "netwright predict latest a.jpg --json | jq '.images[0].label'",
    ),
)
def predict(
    run: Annotated[str, Parameter(help="a path, latest, or a name under runs/")],
    /,
    *images: Annotated[str, Parameter(help="image files and folders of them")],
    out: Annotated[
        str | None,
        Parameter(name=["--out", "-o"], metavar="FILE", help="write a CSV file, one line an image"),
    ] = None,
    top: Annotated[int, Parameter(metavar="N", help="how many classes to name")] = 3,
    device: Annotated[str, Parameter(metavar="NAME", help="auto, cpu or cuda")] = "auto",
    trust_code: Annotated[
        bool, Parameter(help="run the copy of a model file that a run carries")
    ] = False,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Say what images show."""
    if not images:
        raise SettingError(
            "netwright {command} needs {name}.",
            hint="Usage: {usage}",
            command="predict",
            name="IMAGES",
            usage="netwright predict RUN IMAGES... [-o out.csv]",
        )
    if top < 1:
        raise SettingError(
            '"{value}" is not allowed for {name}: expected a whole number above 0.',
            value=top,
            name="--top",
        )
    if out is not None:
        _refuse_place(Path(out))
    from netwright.tasks.using import predict as classify

    found = classify(run, images, top=top, device=device, trust_code=trust_code)
    if out is not None:
        write_text(Path(out), _csv(found))
    if found.seed is not None:
        call.note("NOTE", "seed {seed} answers: of several the one in the middle", seed=found.seed)
    good = sum(not each.error for each in found.images)
    if good or not call.json:
        call.result(found.to_json(), _lines(found, out))
    else:
        call.found = found.to_json()  # one document: that of the failure carries the reasons
    seconds = round(found.seconds, 2)
    call.note(
        "OK" if good else "STOP",
        "{good} of {count} images, {seconds} s, preprocessing from the run",
        good=good,
        count=len(found.images),
        seconds=seconds,
    )
    if not good:
        raise DataError("None of the {count} images could be read.", count=len(found.images))
    return 0


def _refuse_place(out: Path) -> None:
    """Before the network is asked: what it says could not be written there."""
    if out.is_dir():
        raise SettingError(
            "--out {path} is a folder.",
            hint="Expected the name of a file, such as {example}.",
            path=str(out),
            example=str(out / "labels.csv"),
        )
    refuse_missing_folder(out, option="--out")


def _lines(found: Predictions, out: str | None) -> Iterator[str]:
    if out is not None:
        yield say("wrote {path}", path=terminal(out))
        return
    files = max((width(terminal(each.file)) for each in found.images), default=0)
    labels = max((width(terminal(name)) for p in found.images for name, _ in p.top), default=0)
    for each in found.images:
        yield f"{pad(terminal(each.file), files)}   {_verdict(each, labels)}"


def _verdict(each: Prediction, cells: int) -> str:
    if each.error:
        return say("cannot be read: {reason}", reason=terminal(each.error))
    shown = "   ".join(f"{pad(terminal(name), cells)} {p:.2f}" for name, p in each.top)
    if each.margin < UNSURE:
        return f"{shown}   " + say("unsure (margin {margin:.2f})", margin=each.margin)
    return shown


def _csv(found: Predictions) -> str:
    """A header, then one line an image; a cell that a spreadsheet would run is disarmed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label", "probability", "margin", "error"])
    for each in found.images:
        numbers = ["", ""] if each.error else [f"{each.probability:.6g}", f"{each.margin:.6g}"]
        row = [each.file, each.label, *numbers, each.error]
        writer.writerow([csv_cell(cell) for cell in row])
    return text.getvalue()
