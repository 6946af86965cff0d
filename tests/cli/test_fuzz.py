"""Whatever is typed is either understood or refused in our own words."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.cli.commands import COMMANDS
from netwright.cli.parsing import bind
from netwright.cli.words import cut
from netwright.core.errors import NetwrightError
from netwright.core.escaping import terminal

ODD = [
    "-",
    "--",
    "---",
    "--=",
    "-=x",
    "--seed",
    "--seed=",
    "--seed=3",
    "-o",
    "-ofile",
    "-oq",
    "-qv",
    "-1",
    "3",
    "1e9",
    "a=b",
    "a.b=",
    "@file",
    "{x}",
    "--run-dir",
    "--no-dry-run",
    "--dry-run",
    "--dry-run=",
    "--split=val",
    "--device",
    "--out=",
    "--data=x",
    "--run",
    "--empty-images",
    "--images=3",
    "--call",
    "--call=3",
    "show",
    "runs",
    "digits",
]

TOKENS = st.one_of(st.sampled_from([*ODD, "", "\x00", "\udcff"]), st.text(max_size=8))


@pytest.mark.parametrize("name", COMMANDS.names())
@settings(max_examples=40, deadline=None)
@given(tokens=st.lists(TOKENS, max_size=6))
def test_any_tokens_are_bound_or_refused_with_a_message_for_the_screen(name, tokens):
    error = refusal(name, tokens)
    if error is not None:
        assert error.exit_code == 2
        lines = error.localized(escape=terminal).split("\n")
        assert [terminal(line) for line in lines] == lines


def refusal(name: str, tokens: list[str]) -> NetwrightError | None:
    try:
        words = cut([name, *tokens])
        bind(COMMANDS.get(name), words.rest[1:], words.settings)
    except NetwrightError as error:
        return error
    return None


@settings(max_examples=200, deadline=None)
@given(argv=st.lists(TOKENS, max_size=8))
def test_nothing_but_flags_and_settings_is_cut_out(argv):
    with contextlib.suppress(NetwrightError):
        words = cut(argv)
        assert all(token in argv for token in (*words.rest, *words.settings))
        if "--" in argv:
            behind = argv[argv.index("--") :]
            assert list(words.rest[len(words.rest) - len(behind) :]) == behind
