"""What is called beyond treatment are faults of the bench, and pairs that have such a part.

In a process of its own, since the modules of the bench have names that others have too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[3] / "benchmarks" / "healing"

CODE = f"""
import sys
sys.path.insert(0, {str(BENCH)!r})
from beyond import BEYOND
from run import FAULTS, healable

faults = {{each.name: each.target for each in FAULTS}}
assert list(BEYOND) == sorted(BEYOND)
for name in BEYOND:
    assert name in faults, f"{{name}} is no fault"
    assert any(healable(name, each) for each in faults[name].on), f"{{name}} is never healed"
for name, each in faults.items():
    if each.made_of and any(healable(name, one) for one in each.on):
        kinds = {{BEYOND[part][0] for part in each.made_of if part in BEYOND}}
        assert kinds == ({{BEYOND[name][0]}} if name in BEYOND else set()), name
print(len(BEYOND))
"""


def test_each_is_a_fault_that_heal_is_given_and_a_pair_is_as_its_parts():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert not done.returncode, done.stderr
    assert int(done.stdout)
