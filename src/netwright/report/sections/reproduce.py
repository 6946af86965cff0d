"""How to do it again: the command, the settings with their origins, versions, what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.material import Material, mapping
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import fold
from netwright.report.words import named, number, short

_MOST = 400


@SECTIONS.register("reproduce", order=110)
def reproduce(material: Material, allowance: Allowance) -> Part:
    """Commands to copy, then the settings and the environment."""
    place = shlex.quote(short(place_of(material), 300))
    again = [material.info.get("command")] if isinstance(material.info.get("command"), str) else []
    body = commands(say("The command of this run"), again)
    body += commands(
        say("The same again, with every setting as it was resolved"),
        [f"netwright train --config {place}/config.yaml"] if material.config_text else [],
    )
    watched = material.model.get("task") == "watched"  # a script: it goes on as it likes
    if material.status in ("interrupted", "running") and not watched:
        body += commands(say("Go on with it"), [f"netwright train --resume {place}"])
    if material.status == "diverged":
        title = say("A new run with smaller steps, which often cures it")
        body += commands(title, _gentler(material, place))
    if material.has_weights:
        use = [f"netwright evaluate {place}", f"netwright predict {place} image.png"]
        body += commands(say("Use it"), use)
    body += settings(material.config_text, min(_MOST, allowance.rows)) + environment(material)
    return Part(title=say("Do it again"), body=body)


def place_of(material: Material) -> str:
    """The run folder as a command given here would name it."""
    path = material.run.path
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _gentler(material: Material, place: str) -> list[str]:
    """The same run with a tenth of its learning rate."""
    rate = number(material.config.get("optim.lr"))
    if rate is None or rate <= 0:
        return []
    return [f"netwright train --config {place}/config.yaml optim.lr={rate / 10:.3g}"]


def commands(title: str, lines: list[Any]) -> str:
    """Lines to copy under their title; nothing for none."""
    if not lines:
        return ""
    written = "\n".join(html_text(short(line, 600)) for line in lines)
    return f'<h3>{html_text(title)}</h3><pre class="wrap"><code>{written}</code></pre>'


def settings(text: str, most: int) -> str:
    """`config.yaml` as it is written; the comments, which say where a value came from, paler."""
    lines = text.splitlines()
    if not lines:
        return ""
    shown = []
    for line in lines[:most]:
        value, mark, origin = short(line.rstrip(), 240).partition(" #")
        comment = f"<i> #{html_text(origin)}</i>" if mark else ""
        if value.startswith("#"):
            value, comment = "", f"<i>{html_text(value)}{html_text(mark + origin)}</i>"
        shown.append(html_text(value) + comment)
    if len(lines) > most:
        shown.append("<i># ...</i>")
    written = "\n".join(shown)
    title = say("Settings, each with its origin")
    return fold(title, f"<pre><code>{written}</code></pre>")


def environment(material: Material) -> str:
    """Versions, seed, device, code state, times."""
    info = material.info
    rows = [
        (say("seed"), info.get("seed")),
        (say("device"), _plain(info.get("device"))),
        (say("code"), _code(info.get("git"))),
        (say("started"), info.get("started")),
        (say("ended"), info.get("ended")),
    ]
    rows += [
        (str(name), version) for name, version in list(mapping(info.get("versions")).items())[:24]
    ]
    written = "".join(
        f"<div><dt>{html_text(short(name, 40))}</dt><dd>{named(value, 60)}</dd></div>"
        for name, value in rows
        if value not in (None, "", {}, [])
    )
    title = say("Versions, seed and device")
    return fold(title, f'<dl class="pairs-list">{written}</dl>') if written else ""


def _code(git: Any) -> Any:
    """The commit, and whether the files were as in it."""
    if mapping(git).get("commit") and mapping(git).get("dirty"):
        return say("{commit}, with uncommitted changes", commit=short(git["commit"], 40))
    return mapping(git).get("commit") or _plain(git)


def _plain(value: Any) -> Any:
    """A small mapping as one line: `commit 3f2a, dirty true`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in list(value.items())[:6])
    return value
