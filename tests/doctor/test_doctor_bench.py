"""The bench of the doctor hangs together: its faults, its kinds, its split, its counting.

In a process of its own, since its modules have names that others have too; one process answers all
the tests, since it imports torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "benchmarks" / "doctor"

ANSWERS = f"""
import contextlib, io, json, sys, traceback
sys.path[:0] = [{str(BENCH)!r}, {str(BENCH.parent)!r}]
for line in sys.stdin:
    said, fault = io.StringIO(), ""
    with contextlib.redirect_stdout(said):
        try:
            exec(json.loads(line), {{"__name__": "asked"}})
        except BaseException:
            fault = traceback.format_exc()
    print(json.dumps([said.getvalue(), fault]), flush=True)
"""


@pytest.fixture(scope="module")
def asked() -> Iterator[Callable[[str], str]]:
    """What a few lines print that run beside the bench."""
    with subprocess.Popen(
        [sys.executable, "-c", ANSWERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:

        def answer(code: str) -> str:
            process.stdin.write(json.dumps(code) + "\n")
            process.stdin.flush()
            said, fault = json.loads(process.stdout.readline())
            assert not fault, fault
            return said

        yield answer


def test_there_are_as_many_faults_and_kinds_as_promised_and_many_are_held_out(asked):
    said = asked(
        "from faults import FAULTS\n"
        "from healthy import KINDS\n"
        "from setups import SETUPS\n"
        "assert len(SETUPS) >= 8, len(SETUPS)\n"
        "assert all(set(each.target.on) <= set(SETUPS) for each in FAULTS)\n"
        "single = [each.target for each in FAULTS if not each.target.made_of]\n"
        "print(len(single), len(KINDS))\n"
        "for some in (single, [each.target for each in KINDS]):\n"
        "    held = sum(each.part == 'held-out' for each in some)\n"
        "    assert held >= 35, held\n"
        "for each in FAULTS:\n"
        "    parts = {FAULTS.get(name).target.part for name in each.target.made_of}\n"
        "    assert each.target.part == 'held-out' or 'held-out' not in parts, each.name\n"
    )
    faults, kinds = map(int, said.split())
    assert faults >= 60
    assert kinds >= 60


def test_the_split_never_moves(asked):
    said = asked(
        "from split import part_of\n"
        "names = ['no-step', 'rate-of-one', 'pixels-times-255', 'lbfgs', 'mixup', 'siamese']\n"
        "print(*(part_of([name]) for name in names))\n"
    )
    assert said.split() == ["tune", "tune", "tune", "tune", "tune", "held-out"]


def test_a_rank_leaves_the_other_right_answer_out(asked):
    said = asked(
        "from table import ranks\n"
        "found = [{'name': name, 'severity': 'warn'} for name in ('one', 'two', 'odd', 'three')]\n"
        "found.append({'name': 'four', 'severity': 'note'})\n"
        "expects = [['one'], ['two'], ['three'], ['four']]\n"
        "print(ranks({'findings': found, 'expects': expects}))\n"
    )
    assert said.strip() == "[1, 1, 2, None]"


def test_a_broken_loss_is_found_and_its_twin_is_silent(asked):
    said = asked(
        "from run import faulty\n"
        "from table import alarmed, ranks\n"
        "line = faulty('squares-broadcast', 'regression', 0)\n"
        "print(*ranks({**line, 'expects': [['silent-broadcast']]}))\n"
        "print(alarmed(faulty('', 'regression', 0), ('stop',)))\n"
    )
    assert said.split() == ["1", "False"]
