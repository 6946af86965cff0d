"""The grammar of a command line: `netwright VERB THING [MORE] [key=value ...] [--flag]`.

Settings and the flags every command knows may stand anywhere, so they are cut out here, before
the rest is parsed. A token is a setting when it begins with `name=` or `name.name=`; a path
that looks so is written `./a=b`. After `--` every token is a thing, whatever it looks like.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from netwright.core.errors import SettingError, nearest
from netwright.core.languages import LANGUAGES

SETTING = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*=")

EVERYWHERE = ("--json", "--quiet", "-q", "--verbose", "-v", "--lang", "--help", "-h", "--version")


@dataclass(frozen=True, kw_only=True)
class Words:
    """A command line, cut: `rest` is the verb, its things and its own options, in order."""

    rest: tuple[str, ...]
    settings: tuple[str, ...]
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    help: bool = False
    version: bool = False
    language: str | None = None
    behind: tuple[str, ...] = ()
    """What stands behind the script of `netwright doctor`, which is the script's."""


RUNS_SCRIPTS = "doctor"

VALUED = (
    "--fail-on", "--steps", "--minutes", "--budget", "--budget-steps", "--checkup", "--seeds",
    "--run-dir", "--lang",
)  # fmt: skip
"""Options that may stand before a script and take the word behind them."""


def is_script(name: str) -> bool:
    """Whether a word means a script, and not a run."""
    return name.endswith(".py") or os.path.isfile(name)


def before_script(argv: Sequence[str]) -> int:
    """How many words of a command line are ours: all, but of `netwright doctor` those up to the
    name of a script or a module.

    >>> before_script(["doctor", "--steps", "9", "train.py", "--json", "lr=3"])
    4
    >>> before_script(["--json", "doctor", "-m", "package.train", "--steps", "3"])
    4
    >>> before_script(["doctor", "latest", "--json"])
    3
    """
    tokens = iter(enumerate(argv))
    verb = False
    for place, token in tokens:
        if token in VALUED:
            next(tokens, None)
        elif token == "-m" and verb:
            return min(place + 2, len(argv))
        elif not token.startswith("-"):
            if verb:
                return place + 1 if is_script(token) else len(argv)
            verb = token == RUNS_SCRIPTS
            if not verb:
                return len(argv)
    return len(argv)


def cut(argv: Sequence[str]) -> Words:
    """Take the settings and the flags every command knows out of `argv`.

    Raises `SettingError` for a `--lang` that is missing or not spoken.

    >>> words = cut(["--json", "train", "epochs=3", "digits", "optim.lr=0.1", "./a=b"])
    >>> words.rest, words.settings, words.json
    (('train', 'digits', './a=b'), ('epochs=3', 'optim.lr=0.1'), True)
    """
    count = before_script(argv)
    argv, behind = argv[:count], tuple(argv[count:])
    rest: list[str] = []
    settings: list[str] = []
    flags: set[str] = set()
    language: str | None = None
    tokens = iter(argv)
    for token in tokens:
        if token == "--":
            rest += [token, *tokens]
        elif token == "--lang" or token.startswith("--lang="):
            language = token[7:] if "=" in token else next(tokens, "")
        elif token in EVERYWHERE:
            flags.add(token.lstrip("-")[0] if token != "--version" else "version")
        elif SETTING.match(token) and RUNS_SCRIPTS not in rest[:1]:
            settings.append(token)
        else:
            rest.append(token)
    return Words(
        rest=tuple(rest),
        settings=tuple(settings),
        json="j" in flags,
        quiet="q" in flags,
        verbose="v" in flags,
        help="h" in flags,
        version="version" in flags,
        language=None if language is None else _spoken(language),
        behind=behind,
    )


def wants_json(argv: Sequence[str]) -> bool:
    """Whether `--json` stands among the flags, for an error met before the line was cut."""
    argv = argv[: before_script(argv)]
    flags = argv[: list(argv).index("--")] if "--" in argv else argv
    return "--json" in flags


def _spoken(language: str) -> str:
    plain = language.lower().replace("_", "-").partition("-")[0]  # zh-CN, en_GB
    if plain in LANGUAGES:
        return plain
    near = nearest(language, LANGUAGES)
    raise SettingError(
        '"{value}" is not allowed for {name}: expected one of {choices}.',
        hint="Did you mean {near}?" if near else "",
        value=language,
        name="--lang",
        choices=", ".join(LANGUAGES),
        near=", ".join(near),
    )
