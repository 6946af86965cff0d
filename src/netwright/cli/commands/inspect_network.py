"""`netwright inspect MODEL`: what a network is, exactly, before it is trained."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from netwright.cli.columns import pad, screen_width, wrap
from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.errors import SettingError
from netwright.core.escaping import terminal
from netwright.core.languages import Phrase, say
from netwright.core.places import refuse_missing_folder, standing

if TYPE_CHECKING:  # at run time they bring torch, which --help must not
    from netwright.tasks.inspection import Inspection


@COMMANDS.register(
    "inspect",
    group="Look up",
    usage="MODEL [model.KEY=VALUE ...] [--input CxHxW]",
    settings="how the network is built, such as model.stem=small model.num_classes=10; the one "
    "behind --versus with other.KEY=VALUE; optim=adamw for --training, init=he,xavier "
    "act=relu,tanh for --initial",
    about="MODEL is a registered name, file.py:NAME, package.module:NAME, torchvision:NAME, "
    "timm:NAME, a run, or a .safetensors file with its recipe beside it. One pass without "
    "computing gives shapes, parameters, multiply-adds, memory and the receptive field of every "
    "layer. A registered network knows its own input; --input gives another, and stands once for "
    "each input that forward takes. --initial noise takes noise in place of images.",
    examples=(
        "netwright inspect resnet18",
        "netwright inspect resnet18 --input 3x32x32 model.stem=small",
        "netwright inspect resnet18 --versus mobilenet_v2",
        "netwright inspect vgg16 --depth 2 --training --batch 8",
        "netwright inspect lenet5 --initial digits",
        "netwright inspect lenet5 --initial digits init=all act=tanh",
        "netwright inspect lenet5 --picture lenet5.svg",
        "netwright inspect resnet18 --json | jq .totals",
    ),
)
def inspect(
    model: Annotated[str, Parameter(help="which network")],
    /,
    *,
    input: Annotated[  # noqa: A002
        list[str] | None,
        Parameter(metavar="CxHxW", help="the shape of one sample, or 16:int64 for 16 tokens"),
    ] = None,
    batch: Annotated[int, Parameter(metavar="N", help="samples in the batch")] = 1,
    depth: Annotated[
        int | None, Parameter(metavar="N", help="how deep the table unfolds; else what fits")
    ] = None,
    versus: Annotated[
        str | None, Parameter(metavar="OTHER", help="another network, layer by layer beside it")
    ] = None,
    training: Annotated[
        bool, Parameter(help="the memory and products of a whole training step")
    ] = False,
    time: Annotated[bool, Parameter(help="where time goes: estimated, and measured")] = False,
    initial: Annotated[
        str | None,
        Parameter(metavar="DATA", help="signals and gradients at the start, on images of DATA"),
    ] = None,
    initial_picture: Annotated[
        str | None, Parameter(metavar="FILE", help="the start drawn, as FILE.svg")
    ] = None,
    picture: Annotated[
        str | None, Parameter(metavar="FILE", help="the graph, as FILE.svg or FILE.html")
    ] = None,
    layer: Annotated[
        str | None, Parameter(metavar="NAME", help="whose receptive field the picture shows")
    ] = None,
    unit: Annotated[
        str | None, Parameter(metavar="ROW,COLUMN", help="of which unit; else the middle one")
    ] = None,
    image: Annotated[
        str | None, Parameter(metavar="FILE", help="on which image the field is drawn")
    ] = None,
    trust_code: Annotated[
        bool, Parameter(help="run the copy of a model file that a run carries")
    ] = False,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Show what a network is: shapes, parameters, multiply-adds, memory, receptive fields."""
    _check(depth, batch, picture)
    if initial_picture is not None:
        _check_place("--initial-picture", initial_picture, (".svg",))
    place = _unit(unit) if unit is not None else None
    for option, value in (("--layer", layer), ("--unit", unit), ("--image", image)):
        if value is not None and picture is None:
            raise SettingError(
                "{option} is for a picture, and none is asked for.",
                hint="Add --picture FILE.svg or FILE.html.",
                option=option,
            )
    from netwright.tasks.asked import inspect_asked

    settings = _settings(call.settings)
    options, optimizer, starts = settings.model, settings.optimizer, settings.starts
    if settings.other and versus is None:
        raise SettingError(
            "{name} is about a second network, and there is none.",
            hint="Add --versus OTHER.",
            name=f"other.{next(iter(settings.other))}",
        )
    if initial is None and (initial_picture is not None or starts):
        raise SettingError(
            "{name} is about the start of a network, which was not asked for.",
            hint="Say on which images: --initial digits, or --initial noise.",
            name=f"{next(iter(starts))}=" if starts else "--initial-picture",
        )
    if optimizer is not None and not training:
        raise SettingError(
            "optim={optimizer} is about a training step, which was not asked for.",
            hint="Add --training.",
            optimizer=optimizer,
        )
    found = inspect_asked(model, input or (), options=options, batch=batch, trust_code=trust_code)
    document: dict[str, Any] = {**found.to_json()}
    lines = [*_table(found, depth), *_remarks(found)]
    if versus is not None:
        try:
            other = inspect_asked(
                versus, input or (), options=settings.other, batch=batch, trust_code=trust_code
            )
        except SettingError as error:
            if not settings.other:
                raise
            raise SettingError(
                "The network behind --versus: {reason}",
                hint="Its settings begin with other. in place of model.",
                reason=error.phrase,
            ) from error
        comparison = found.versus(other, depth=depth)
        document["versus"] = comparison.to_json()
        lines = comparison.table(cells=screen_width()).splitlines()
    for name, section in (
        ("training", _training(found, optimizer or "sgd") if training else None),
        ("timing", _timing(found, call) if time else None),
        (
            "initials" if starts else "initial",
            _initial(found, initial, starts, initial_picture) if initial is not None else None,
        ),
    ):
        if section is not None:
            document[name] = section[0]
            lines += ["", *section[1]]
    if picture is not None:
        found.picture(picture, layer=layer, unit=place, image=image)
        document["picture"] = picture
        lines.append(say("wrote {path}", path=terminal(picture)))
    call.result(document, lines)
    if versus is not None and options and not settings.other:
        call.note(
            "NOTE",
            "The settings model. are those of {model} alone; {other} takes its own: "
            "other.KEY=VALUE",
            model=model,
            other=versus,
        )
    if not call.json and versus is None:
        words = [
            model,
            *(each for each in call.settings if not each.startswith(("init=", "act="))),
            *(part for each in input or () for part in ("--input", each)),
        ]
        for number, line in enumerate(_next(words, found, depth, training=training)):
            call.note("" if number else say("Next:"), "{line}", line=line)
    return 0


Section = tuple[Any, list[str]]
"""What an option adds: to the document, and to the lines."""


def _training(found: Inspection, optimizer: str) -> Section:
    from netwright.report.step_memory import step_memory

    memory = found.training_memory(optimizer=optimizer)
    first, *rest = step_memory(memory, found.record, cells=screen_width())
    return memory.to_json(), [*wrap(first, screen_width()), *rest]


def _timing(found: Inspection, call: Call) -> Section:
    from netwright.inspection.calibration import is_measured
    from netwright.report.layer_times import layer_times

    if not is_measured():
        call.note("", "Measuring what this machine can do: some seconds, this once ...")

    timing = found.timing(measure=True)
    first, *rest = layer_times(timing, cells=screen_width())
    return timing.to_json(), [*wrap(first, screen_width()), *rest]


def _initial(found: Inspection, data: str, starts: dict[str, str], picture: str | None) -> Section:
    from netwright.report.initial_table import initial_table
    from netwright.report.initial_words import compared, told
    from netwright.tasks.asked import initial_asked, initials_asked

    if starts:
        states = initials_asked(found, data, init=starts.get("init"), act=starts.get("act"))
        shown = [*compared(states, cells=screen_width())]
    else:
        states = (initial_asked(found, data),)
        shown = [*initial_table(states[0], cells=screen_width())]
    # What is wrong with each of several, and at any rate what there is to say of a single one.
    for state in states:
        if starts and not state.judgements:
            continue
        pair = f"{state.initialiser} {state.activation}: " if starts else ""
        for each in told(state):
            shown += wrap(pair + each, screen_width())
    if picture is not None:
        found.initial_picture(picture, states)
        shown.append(say("wrote {path}", path=terminal(picture)))
    documents = [each.to_json() for each in states]
    return documents if starts else documents[0], shown


def _check(depth: int | None, batch: int, picture: str | None) -> None:
    """What can be refused before a network is built."""
    for name, value, least in (("--depth", depth, 0), ("--batch", batch, 1)):
        if value is not None and value < least:
            raise SettingError(
                "{name}: expected at least {least}, not {value}.",
                name=name,
                least=least,
                value=value,
            )
    if picture is not None:
        _check_place("--picture", picture, (".svg", ".html"))


def _check_place(option: str, picture: str, endings: tuple[str, ...]) -> None:
    path = Path(picture)
    there = standing(path)
    if path.suffix.lower() not in endings or there == "folder":
        raise SettingError(
            "{option} {path}: a picture is an .svg file, or an .html page."
            if ".html" in endings
            else "{option} {path}: the picture of a start is an .svg file.",
            option=option,
            hint="Expected the name of a file, such as {example}.",
            path=picture,
            example=str(path / "network.svg" if there == "folder" else path.with_suffix(".svg")),
        )
    if there == "other":
        raise SettingError(
            "{option} {path} is there and is no regular file: it is left alone.",
            option=option,
            path=picture,
        )
    refuse_missing_folder(path, option=option)


def _unit(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise SettingError(
            '--unit: "{text}" is no place in a map.',
            hint="Expected its row and column, such as 3,5.",
            text=text,
        )
    return int(parts[0]), int(parts[1])


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What the settings say, sorted by what they are about."""

    model: dict[str, Any]
    other: dict[str, Any]
    """Of the network behind --versus."""
    optimizer: str | None
    """Of a training step."""
    starts: dict[str, str]
    """Initialisers and activations to start with."""


def _settings(words: tuple[str, ...]) -> _Settings:
    """The settings by the names they have where they belong; others have no meaning here."""
    from netwright.tasks.settings import tokens

    found = tokens(words)
    optimizer = found.pop("optim.name", found.pop("optim", None))
    starts: dict[str, str] = {
        name: _listed(found.pop(name)) for name in ("init", "act") if name in found
    }
    networks: dict[str, dict[str, Any]] = {"model": {}, "other": {}}
    for name, value in found.items():
        network, _, own = name.partition(".")
        if network not in networks or not own:
            raise SettingError(
                "netwright inspect builds a network and trains none: {name} has no meaning here.",
                hint="Settings of the network begin with model. such as model.width=0.5.",
                name=name,
            )
        networks[network][own] = value
    return _Settings(
        **networks, optimizer=None if optimizer is None else str(optimizer), starts=starts
    )


def _listed(value: Any) -> str:
    """Names with commas between them, written so or as a list."""
    return ",".join(str(each) for each in value) if isinstance(value, list) else str(value)


def _table(found: Inspection, depth: int | None) -> Iterator[str]:
    from netwright.report.layer_table import cost_lines

    yield from found.table(depth, cells=screen_width()).splitlines()
    for line in cost_lines(found.record):
        word, _, rest = line.partition("  ")
        yield from _hung(word, rest)


def _remarks(found: Inspection) -> Iterator[str]:
    """What was checked and what is to be known: a word, and its text beside it."""
    from netwright.report.inspection_notes import notes

    for word, phrase in notes(found.record, counted=found.counted):
        yield from _hung(word, _spoken(phrase))
    for phrase in found.remarks:
        yield from _hung("NOTE", _spoken(phrase))
    for finding in found.findings:
        said = [terminal(each) for each in finding.paragraphs()]
        # A note says what and why; what may be a fault brings its numbers and what can be done.
        shown = said if finding.severity != "note" else [said[0], _spoken(finding.cause)]
        yield from _hung(finding.severity.upper(), f"{finding.name}  {shown[0]}")
        for line in shown[1:]:
            yield from _hung("", line)


def _spoken(phrase: Phrase) -> str:
    return phrase.escaped(terminal).localized()


def _hung(word: str, text: str) -> list[str]:
    """`text` wrapped beside a word of six cells."""
    # A Chinese line may end one wide mark later than asked for.
    lines = wrap(text, screen_width() - (8 if text.isascii() else 10))
    return [pad(word if number == 0 else "", 8) + line for number, line in enumerate(lines)]


def _next(
    words: list[str], found: Inspection, depth: int | None, *, training: bool
) -> Iterator[str]:
    """What can be asked of this network next."""
    from netwright.report.layer_lines import fitting_depth

    line = ["netwright", "inspect", *words]
    shown = fitting_depth(found.record) if depth is None else depth
    deepest = max((row.depth for row in found.rows), default=0)
    if shown < deepest:
        yield shlex.join([*line, "--depth", str(shown + 1)])
    if not training:
        yield shlex.join([*line, "--training"])
