"""torch.export: the recorded program, run by torch alone, without the code of the network."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from torch import Tensor

from netwright.core.atomic import disk
from netwright.export.formats import FORMATS, Exportable, Runner
from netwright.export.graph import quiet, recorded, unexportable

FACTS = "netwright.json"
"""The name of the metadata among the extra files of the program."""


def open_program(path: Path, given: Exportable) -> Runner:
    """The file as `torch.export.load` opens it anywhere."""
    with quiet():
        module = torch.export.load(path).module()

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            logits, probabilities = module(images)
        return logits, probabilities

    return run


def use_program(path: str, image: str, array: str) -> tuple[str, ...]:
    """Lines of Python that use a file with torch alone."""
    return (
        "import json, numpy, torch",
        "from PIL import Image, ImageOps",
        f'program = torch.export.load({path}, extra_files=(facts := {{"{FACTS}": ""}}))',
        f'classes = json.loads(json.loads(facts["{FACTS}"])["classes"])',
        f"image = {image}",
        f"logits, probabilities = program.module()(torch.tensor({array}))",
        "print(classes[probabilities[0].argmax()])",
    )


@FORMATS.register(
    "torch-export",
    suffix=".pt2",
    opens=open_program,
    packages=(),
    runtime="torch",
    graph=True,
    use=use_program,
)
def write_program(given: Exportable, path: Path) -> None:
    """A program of torch.export: run by torch alone, without the code of the network.

    `torch.export.load(path).module()` takes the images and gives logits and probabilities. The
    facts of the run are its extra file `netwright.json`.
    """
    program = recorded(given)
    file = io.BytesIO()  # torch's own writer tells of a full disk in words nobody knows
    with unexportable("torch.export"), quiet():
        facts = json.dumps(dict(given.facts), ensure_ascii=False)
        torch.export.save(program, file, extra_files={FACTS: facts})
    disk.write(path, file.getbuffer())
