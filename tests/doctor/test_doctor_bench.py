"""The bench of the doctor hangs together: its faults, its kinds, its split, its counting.

In a process of its own, since its modules have names that others have too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "benchmarks" / "doctor"


def asked(code: str) -> str:
    """What a few lines print that run beside the bench."""
    begin = f"import sys; sys.path[:0] = [{str(BENCH)!r}, {str(BENCH.parent)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_there_are_as_many_faults_and_kinds_as_promised_and_many_are_held_out():
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


def test_the_split_never_moves():
    said = asked(
        "from split import part_of\n"
        "names = ['no-step', 'rate-of-one', 'pixels-times-255', 'lbfgs', 'mixup', 'siamese']\n"
        "print(*(part_of([name]) for name in names))\n"
    )
    assert said.split() == ["tune", "tune", "tune", "tune", "tune", "held-out"]


def test_a_rank_leaves_the_other_right_answer_out():
    said = asked(
        "from table import ranks\n"
        "found = [{'name': name, 'severity': 'warn'} for name in ('one', 'two', 'odd', 'three')]\n"
        "found.append({'name': 'four', 'severity': 'note'})\n"
        "expects = [['one'], ['two'], ['three'], ['four']]\n"
        "print(ranks({'findings': found, 'expects': expects}))\n"
    )
    assert said.strip() == "[1, 1, 2, None]"


def test_a_broken_loss_is_found_and_its_twin_is_silent():
    said = asked(
        "from run import faulty\n"
        "from table import alarmed, ranks\n"
        "line = faulty('squares-broadcast', 'regression', 0)\n"
        "print(*ranks({**line, 'expects': [['silent-broadcast']]}))\n"
        "print(alarmed(faulty('', 'regression', 0), ('stop',)))\n"
    )
    assert said.split() == ["1", "False"]
