"""What the documents say is what the code does: commands run, generated pages are fresh."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import re
import runpy
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from netwright.cli import main
from netwright.cli.commands.ls import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "README.zh-CN.md"]
GUIDES = ["docs/gradients.md", "docs/inspection.md", "docs/regularisation.md", "docs/seeing.md"]


def commands(page):
    """The `netwright` lines of the console blocks of a page, comments cut off."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["netwright"]:
                yield words[1:]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with everything the documents name, and short runs."""
    for label, colour in (("daisy", "white"), ("rose", "red"), ("tulip", "yellow")):
        (tmp_path / "flowers" / label).mkdir(parents=True)
        for number in range(24):
            image = Image.new("RGB", (16, 16), "green")
            ImageDraw.Draw(image).ellipse((3, 3, 8 + number % 5, 12), fill=colour)
            image.save(tmp_path / "flowers" / label / f"{number}.png")
    rows = [
        f"flowers/{label}/{n}.png,{label}"
        for label in ("daisy", "rose", "tulip")
        for n in range(24)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    (tmp_path / "photos").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "path" / "to" / "mnist").mkdir(parents=True)
    for split, count in (("train", 400), ("t10k", 40)):
        _idx(tmp_path / "path" / "to" / "mnist", split, count)
    (tmp_path / "data.py").write_text(
        "import torch\n\ndef make():\n    y = torch.arange(80) % 4\n"
        "    x = y.float()[:, None, None, None] + torch.rand(80, 1, 8, 8)\n"
        "    return (x, y), (x[:16], y[:16])\n"
    )
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self, num_classes, input_size):\n"
        "        pixels = input_size[0] * input_size[1]\n"
        "        super().__init__(nn.Flatten(), nn.Linear(pixels, num_classes))\n"
    )
    (tmp_path / "train.py").write_text(
        "import argparse\n\nimport torch\nfrom torch import nn\n\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--epochs', type=int)\n"
        "model = nn.Linear(4, 2)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "x = torch.randn(64, 4)\n"
        "y = (x[:, 0] > 0).long()\n"
        "for _ in range(parser.parse_args().epochs):\n"
        "    for a, b in zip(x.split(16), y.split(16)):\n"
        "        optimizer.zero_grad()\n"
        "        nn.functional.cross_entropy(model(a), b).backward()\n"
        "        optimizer.step()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_SET_epochs", "1")
    monkeypatch.setenv("NETWRIGHT_SET_batch", "16")
    return tmp_path


def _idx(folder, split, count):
    generator = np.random.default_rng(count)
    images = generator.integers(0, 255, (count, 28, 28), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    with gzip.open(folder / f"{split}-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">4i", 0x803, count, 28, 28) + images.tobytes())
    with gzip.open(folder / f"{split}-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">2i", 0x801, count) + labels.tobytes())


def test_every_command_of_the_readme_runs(place, monkeypatch, capsys):
    monkeypatch.setenv("NETWRIGHT_SET_steps", "3")
    found = list(commands("README.md"))
    assert len(found) > 8
    trained, latest = None, place / "runs" / "latest"
    for words in found:
        if "latest" in words and trained != latest.readlink():
            assert main(["train", "digits", "mlp"]) == 0  # what `latest` means there
            trained = latest.readlink()
        assert main(words) == 0, (words, capsys.readouterr().err)
        capsys.readouterr()


@pytest.mark.parametrize("page", GUIDES)
def test_every_command_of_a_guide_runs(page, place, capsys):
    found = list(commands(page))
    assert found
    for words in found:
        assert main(words) == 0, (words, capsys.readouterr().err)


@pytest.mark.parametrize("page", PAGES + GUIDES)
def test_every_python_example_of_a_page_runs(page, place):
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, page, "exec"), {})


def test_the_examples_run(place, monkeypatch, capsys):
    for path in sorted((ROOT / "examples").glob("*.py")):
        runpy.run_path(str(path), run_name="__main__")
    assert "validation accuracy 1.0" in capsys.readouterr().out


@pytest.fixture
def build(monkeypatch):
    """The script that makes pages; it finds the file beside it as it does when it is run."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_made_from_code_are_fresh(build):
    for name, text in build.pages().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run python docs/build.py"


def test_no_page_of_a_family_is_left_over(build):
    written = {f"docs/families/{path.name}" for path in (ROOT / "docs" / "families").iterdir()}
    assert written <= set(build.pages())


def test_every_family_that_can_be_listed_has_a_page(build):
    registries = {getattr(importlib.import_module(m), name) for m, name in FAMILIES.values()}
    pages = [family.leaves for family in build.family_pages.families()]
    assert all(each in pages for each in registries)


def test_the_two_readmes_say_the_same_commands():
    assert list(commands(PAGES[0])) == list(commands(PAGES[1]))


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / each for each in PAGES] + sorted((ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_links_to_a_leaf_lead_to_its_heading():
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
            headings = (page.parent / target).read_text(encoding="utf-8") if target else text
            found = re.search(rf"^##+ {re.escape(anchor)}$", headings, flags=re.MULTILINE)
            assert found, f"{page.name} links to {target}#{anchor}"
