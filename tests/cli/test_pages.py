"""Help, version and completion: in both languages, in 80 columns, and without torch."""

import json
import subprocess
import sys

import pytest

from netwright.cli.columns import width
from netwright.cli.commands import COMMANDS, GROUPS
from netwright.cli.parsing import arguments

NAMES = COMMANDS.names()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_page(netwright, name, language):
    answer = netwright(name, "--help", "--lang", language)
    assert (answer.status, answer.err) == (0, "")
    assert f"netwright {name}" in answer.out.splitlines()[0]
    for option in [each.names[0] for each in arguments(COMMANDS.get(name))]:
        assert option in answer.out
    assert max(width(line) for line in answer.out.splitlines()) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_every_thing_and_option_is_explained(name):
    assert [a.names for a in arguments(COMMANDS.get(name)) if not a.parameter.help] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_stands_in_a_group_and_has_examples_that_begin_with_it(name):
    facts = COMMANDS.get(name).facts
    assert facts["group"] in GROUPS
    assert all(f"netwright {name}" in example for example in facts["examples"])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_overview_names_every_command_with_one_line(netwright, language):
    lines = netwright("--help", "--lang", language).out.splitlines()
    for name in NAMES:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1
    assert max(width(line) for line in lines) <= 80


def test_without_a_word_the_overview_is_shown(netwright):
    assert netwright().out == netwright("--help").out


def test_help_wins_over_a_wrong_line(netwright):
    assert netwright("train", "--sed", "3", "--help").status == 0


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["ls", "-h"], ["completion", "bash"]])
def test_under_json_these_are_documents_too(netwright, argv):
    assert json.loads(netwright(*argv, "--json").out)["format"] == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_flags(netwright, shell):
    script = netwright("completion", shell).out
    assert "evaluate" in script
    assert "run-dir" in script


NO_TORCH = [
    ["--version"],
    ["--help"],
    *([name, "--help"] for name in NAMES),
    ["ls", "runs"],
    ["ls", "conditions"],
    ["explain", "tiny-feature-map"],
    ["explain", "conditions/gridding", "--json"],
    ["explain", "condition/gridding", "--lang", "zh"],
    ["report", "nowhere"],
    ["trian"],
    ["train", "--sed"],
    ["completion", "bash"],
]


def test_what_must_be_quick_never_imports_torch(tmp_path):
    """One process for all lines, so that the test is quick as well."""
    script = (
        "import sys, json\n"
        "from netwright.cli import main\n"
        "for argv in json.loads(sys.argv[1]):\n"
        "    main(argv)\n"
        "    for heavy in ('torch', 'safetensors'):\n"
        "        assert heavy not in sys.modules, (argv, heavy)\n"
        "    assert argv != ['--help'] or 'pydantic' not in sys.modules, argv\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(NO_TORCH)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
