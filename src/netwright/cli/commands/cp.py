"""`netwright cp RECIPE [FILE]`: an editable copy of a recipe, as YAML or as a Python script."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.commands.config import recipe_file
from netwright.cli.screen import Call
from netwright.core.atomic import write_text
from netwright.core.errors import SettingError
from netwright.core.escaping import terminal
from netwright.core.languages import say
from netwright.core.places import refuse_missing_folder, standing

FORMS = {".yaml": "yaml", ".yml": "yaml", ".py": "python"}
SUFFIXES = {"yaml": ".yaml", "python": ".py"}
SCREEN = "-"


@COMMANDS.register(
    "cp",
    group="Train",
    usage="RECIPE [FILE] [--as yaml|python] [key=value ...]",
    dash=True,
    settings="any setting, to have another value in the copy",
    about="RECIPE is a name, a file of settings, or a run. FILE is a .yaml with every setting, its "
    "meaning and its range; or a .py: one plain training loop in torch. Both give the numbers of "
    "the recipe. Without FILE it is RECIPE.yaml here; - is standard output.",
    examples=(
        "netwright cp digits",
        "netwright cp digits loop.py",
        "netwright cp latest mine.yaml epochs=50",
        "netwright cp mnist-lenet5 - --as python",
    ),
)
def cp(
    recipe: Annotated[str, Parameter(help="a recipe: a name, a file, or a run")],
    file: Annotated[str | None, Parameter(help="where to: a .yaml, a .py, a folder, or -")] = None,
    /,
    *,
    said: Annotated[
        Literal["yaml", "python"] | None,
        Parameter(name="--as", metavar="FORM", help="yaml or python; else the name of FILE says"),
    ] = None,
    yes: Annotated[bool, Parameter(help="replace a file that is there")] = False,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Copy a recipe, to edit it or to read it as a script."""
    source = recipe_file(recipe)
    name = _name(recipe, source)
    form, place = _place(file, said, name)
    if place is not None:
        _refuse(place, form, replace=yes)
    from netwright.tasks.copying import python_copy, train_command, yaml_copy
    from netwright.tasks.settings import changed, read_config, tokens

    resolved = changed(read_config(source), tokens(call.settings))
    copied = place.name if place is not None else name + SUFFIXES[form]
    spec = shlex.join([recipe, *call.settings])
    made = (yaml_copy if form == "yaml" else python_copy)(resolved, spec=spec, file=copied)
    document = {"recipe": recipe, "form": form, "file": None if place is None else str(place)}
    if place is None:
        call.result({**document, "text": made}, [made.rstrip("\n")])
        return 0
    write_text(place, made)
    call.result(document, [say("wrote {path}", path=terminal(place))])
    if not call.json:
        call.note(
            say("Next:"),
            "{command}",
            command=train_command(resolved, form, shlex.quote(str(place))),
        )
    return 0


def _name(recipe: str, source: str) -> str:
    """What a copy is called without FILE: like the recipe, or like the run."""
    path = Path(source)
    if path.name == "config.yaml" and path.suffix != Path(recipe).suffix:
        return path.resolve().parent.name
    return path.stem if path.suffix in {*FORMS, ".json"} else path.name


def _place(file: str | None, form: str | None, name: str) -> tuple[str, Path | None]:
    """The form of the copy and where it goes, None for the screen."""
    if file == SCREEN:
        return form or "yaml", None
    if file is None or standing(Path(file)) == "folder":
        folder = Path(file or ".")
        return form or "yaml", folder / (name + SUFFIXES[form or "yaml"])
    said = FORMS.get(Path(file).suffix.lower())
    if said is None and form is None:
        raise SettingError(
            "{path}: its name does not say what it is to be.",
            hint="Expected a name that ends in {suffixes}, or --as yaml or --as python.",
            path=file,
            suffixes=", ".join(FORMS),
        )
    if said is not None and form is not None and said != form:
        raise SettingError("{path} and --as {form} differ; give one of them.", path=file, form=form)
    return form or said or "yaml", Path(file)


def _refuse(place: Path, form: str, *, replace: bool) -> None:
    """Before anything is read: a copy that could not be written, or that would not run."""
    there = standing(place)
    refuse_missing_folder(place)
    if form == "python" and place.stem in sys.stdlib_module_names | _IMPORTED:
        raise SettingError(
            "A script called {name} would hide the module {module} from itself.",
            hint="Choose another name.",
            name=place.name,
            module=place.stem,
        )
    if there == "folder":
        raise SettingError(
            "{path} is a folder.",
            hint="Expected the name of a file, such as {example}.",
            path=str(place),
            example=str(place / f"copy{SUFFIXES[form]}"),
        )
    if there == "other":
        raise SettingError(
            "{path} is there and is no regular file: it is left alone.", path=str(place)
        )
    if there == "file" and not replace:
        raise SettingError(
            "{path} is there already.",
            hint="Choose another name, or replace it with --yes.",
            path=str(place),
        )


_IMPORTED = {"torch", "numpy", "netwright", "PIL", "yaml", "pydantic", "safetensors"}
