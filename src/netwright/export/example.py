"""The lines of Python that use an exported file without Netwright: shown, and run by the tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from netwright.core.registry import Entry
from netwright.export.formats import Exportable, Format


def example(entry: Entry[Format], path: Path, given: Exportable) -> tuple[str, ...]:
    """Some lines: they read `a.png` in the size and colours of the run, give it to the file at
    `path` and print its class."""
    channels, (height, width) = given.preprocessing.channels, given.preprocessing.size
    if channels in (1, 3) and given.dtype == torch.uint8:
        mode = "L" if channels == 1 else "RGB"
        # It cuts the centre out at the run's own proportions, as the rule `cover` does.
        image = (
            f'ImageOps.fit(Image.open("a.png").convert("{mode}"), ({width}, {height}), '
            "Image.Resampling.BILINEAR)"
        )
        axes = "[None, None]" if channels == 1 else ".transpose(2, 0, 1)[None]"
        array = f"numpy.asarray(image){axes}"
    else:  # no file format holds such an image
        dtype = str(given.dtype).removeprefix("torch.")
        image = f'numpy.zeros({given.preprocessing.shape}, "{dtype}")'
        array = "image[None]"
    quoted = json.dumps(str(path), ensure_ascii=False)
    lines: tuple[str, ...] = entry.facts["use"](quoted, image, array)
    return lines
