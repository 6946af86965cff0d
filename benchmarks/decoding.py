"""What `data.decode=fast` does to pixels and to a network's answers: the table in `decoding.md`.

    python benchmarks/decoding.py            # half a minute; writes benchmarks/decoding.md

138 photos (JPEG, the short side 115 to 513 pixels, 240 in the median) are brought to a square by
`fast`, by `exact`, and decoded whole but resized by Pillow's bicubic filter in the place of its
bilinear one, which is how far two customary choices are apart. Shown are the distance of the
pixels (PSNR in dB, median and lowest) and the share of photos whose largest class of 1,001 by
MobileNetV2 stays the same.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

import feeds
from netwright.data.reading import read_image, to_tensor
from netwright.models.adapters.mobilenet_v2_tensorflow import load_mobilenet_v2

HERE = Path(__file__).resolve().parent
ARCHIVES = ("captions_coco118.zip", "images.zip", "weights/check_images.zip")
WEIGHTS = "weights/mobilenet_v2_1.0_224_uint8.safetensors"
SIZES = (96, 128, 160, 224)


def photos(folder: Path) -> Iterator[Path]:
    for archive in ARCHIVES:
        with zipfile.ZipFile(feeds.data_folder() / archive) as file:
            for name in sorted(each for each in file.namelist() if each.endswith(".jpg")):
                path = folder / f"{archive}-{name}".replace("/", "-")
                path.write_bytes(file.read(name))
                yield path


def bicubic(path: Path, side: int) -> Tensor:
    with Image.open(path) as image:
        shown = image.convert("RGB")
        return to_tensor(ImageOps.fit(shown, (side, side), Image.Resampling.BICUBIC))


def psnr(one: Tensor, other: Tensor) -> float:
    error = (one.float() - other.float()).square().mean().item()
    return 10 * math.log10(255**2 / error) if error else math.inf


def main() -> None:
    network = load_mobilenet_v2(feeds.data_folder() / WEIGHTS)
    columns = []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        paths = list(photos(Path(folder)))
        for side in SIZES:
            kept = {"fast": 0, "bicubic": 0}
            distance: dict[str, list[float]] = {"fast": [], "bicubic": []}
            for path in paths:
                size = (side, side)
                exact = read_image(str(path), channels=3, size=size, decode="exact")
                others = {
                    "fast": read_image(str(path), channels=3, size=size, decode="fast"),
                    "bicubic": bicubic(path, side),
                }
                answer = network(exact[None]).argmax().item()
                for name, pixels in others.items():
                    distance[name].append(psnr(pixels, exact))
                    kept[name] += network(pixels[None]).argmax().item() == answer
            columns.append((side, kept, distance))
            print(side, kept, {k: statistics.median(v) for k, v in distance.items()}, flush=True)
    lines = [
        "# What fast decoding changes",
        "",
        f"{len(paths)} photos, MobileNetV2 of ImageNet, torch {torch.__version__}, Python "
        f"{sys.version.split()[0]}. Written by `benchmarks/decoding.py`, which says how it is "
        "measured.",
        "",
        "| beside `data.decode=exact` | " + " | ".join(f"{side} pixels" for side in SIZES) + " |",
        "|---" * (1 + len(SIZES)) + "|",
    ]
    for name, label in (("fast", "`fast`"), ("bicubic", "bicubic for bilinear")):
        answers = [f"{100 * kept[name] / len(paths):.0f} %" for _, kept, _ in columns]
        pixels = [
            f"{statistics.median(far[name]):.0f} dB ({min(far[name]):.0f})" for _, _, far in columns
        ]
        lines.append(f"| answers that stay, {label} | {' | '.join(answers)} |")
        lines.append(f"| PSNR, median (lowest), {label} | {' | '.join(pixels)} |")
    (HERE / "decoding.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
