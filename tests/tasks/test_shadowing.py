"""A script with files of its own that bear a name of the standard library gets its own."""

import os
import subprocess
import sys

from netwright.tasks.shadowing import taken_out

TRAINS = """
import html, statistics, textwrap
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(64, 4); y = (x[:, 0] > 0).long()
model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
print(html.OWN, statistics.OWN, textwrap.__file__.startswith(__file__.rpartition("/")[0]))
"""


def test_a_script_gets_the_files_beside_it_and_the_command_its_own(tmp_path):
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "train.py").write_text(TRAINS)
    (folder / "html.py").write_text("OWN = 1")
    (folder / "statistics.py").write_text("OWN = 2")
    ran = subprocess.run(
        [sys.executable, "-m", "netwright", "doctor", "--fail-on", "never", folder / "train.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert ran.stdout == "1 2 False\n", ran.stderr
    assert ran.returncode == 0
    assert "fault of ours" not in ran.stderr


def test_nothing_is_taken_out_where_no_name_is_borrowed(tmp_path):
    (tmp_path / "model.py").write_text("")
    (tmp_path / "os.py").write_text("")  # Python itself has it before any script
    assert taken_out(str(tmp_path)) == {}
    assert taken_out(str(tmp_path / "not there")) == {}


def test_parts_of_a_package_go_with_it(tmp_path):
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "__init__.py").write_text("")
    import email.message

    taken = taken_out(str(tmp_path))
    try:
        assert taken["email"] is email
        assert taken["email.message"] is email.message
        assert not any(each.partition(".")[0] == "email" for each in sys.modules)
    finally:
        sys.modules.update(taken)
