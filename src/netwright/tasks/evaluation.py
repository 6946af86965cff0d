"""What a classifier is worth on one split: the numbers, and the images behind them.

`score` gives the two or three numbers an epoch needs; `examine` also the confusion matrix and
the worst mistakes, as arrays for the report.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.data.batches import Batch
from netwright.data.dataset import UnreadableImageError

Network = Callable[[Tensor], Tensor]
Rows = list[list[float]]

WORST = 24
PER_PAIR = 3
PAIRS = 8
THUMBNAIL = 64


def score(
    network: Network,
    batches: Iterable[Batch],
    *,
    num_classes: int,
    together: Callable[[Rows], Rows] | None = None,
) -> dict[str, float]:
    """Mean cross-entropy (`loss`, nats), top-1 accuracy (`acc1`), with ten classes or more also
    top-5 (`acc5`), over all images of `batches`.

    Where these are one rank's, `together` gives for its rows, one a batch, those of all ranks.
    """
    rows: Rows = []
    with torch.no_grad():
        for batch in batches:
            logits = network(batch.images)
            loss = float(F.cross_entropy(logits.double(), batch.target, reduction="sum"))
            right, right5 = int((logits.argmax(1) == batch.target).sum()), 0
            if num_classes >= 10:
                best = logits.topk(5, dim=1).indices
                right5 = int((best == batch.target[:, None]).any(1).sum())
            rows.append([loss, right, right5, len(batch.target)])
    loss, right, right5, count = 0.0, 0, 0, 0
    for row in rows if together is None else together(rows):
        loss += row[0]
        right, right5, count = right + int(row[1]), right5 + int(row[2]), count + int(row[3])
    found = {"loss": loss / max(count, 1), "acc1": right / max(count, 1)}
    if num_classes >= 10:
        found["acc5"] = right5 / max(count, 1)
    return found


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Per-image outcomes of one split, in the order of its images; those that cannot be read any
    more are left out."""

    index: npt.NDArray[np.int64]
    """Where each stands in its split."""
    target: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    """Of the predicted class."""
    loss: npt.NDArray[np.float64]
    num_classes: int

    @property
    def metrics(self) -> dict[str, float]:
        count = max(len(self.target), 1)
        return {
            "loss": float(self.loss.sum() / count),
            "acc1": float((self.pred == self.target).sum() / count),
        }

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """(C, C): rows are true classes, columns predicted ones."""
        flat = np.bincount(
            self.target * self.num_classes + self.pred, minlength=self.num_classes**2
        )
        return flat.reshape(self.num_classes, self.num_classes).astype(np.int64)

    def worst(self, count: int = WORST) -> npt.NDArray[np.int64]:
        """Wrongly classified images, the highest loss first."""
        wrong = np.flatnonzero(self.pred != self.target)
        order = np.argsort(-self.loss[wrong], kind="stable")
        return wrong[order[:count]].astype(np.int64)

    def pairs(self) -> npt.NDArray[np.int64]:
        """Images of the most confused pairs of classes, at most three a pair."""
        off = self.confusion.copy()
        np.fill_diagonal(off, 0)
        chosen: list[int] = []
        for flat in np.argsort(-off, axis=None, kind="stable")[:PAIRS]:
            row, column = divmod(int(flat), self.num_classes)
            if off[row, column] == 0:
                break
            mine = np.flatnonzero((self.target == row) & (self.pred == column))
            order = np.argsort(-self.loss[mine], kind="stable")
            chosen += mine[order[:PER_PAIR]].tolist()
        return np.asarray(chosen, dtype=np.int64)


def examine(network: Network, batches: Iterable[Batch], *, num_classes: int) -> Examination:
    """Classify every image of `batches` and keep what the report needs."""
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    index: list[npt.NDArray[np.int64]] = []
    with torch.no_grad():
        for batch in batches:
            index.append(batch.index)
            log_p = network(batch.images).double().log_softmax(1)
            best, pred = log_p.max(1)
            loss = -log_p.gather(1, batch.target[:, None])[:, 0]
            parts.append((batch.target.cpu(), pred.cpu(), best.exp().cpu(), loss.cpu()))
    columns = [torch.cat(each).numpy() for each in zip(*parts, strict=True)]
    return Examination(
        index=np.concatenate(index),
        target=columns[0].astype(np.int64),
        pred=columns[1].astype(np.int64),
        probability=columns[2],
        loss=columns[3],
        num_classes=num_classes,
    )


def arrays(
    found: Examination, images: Any, *, picture: Callable[[Tensor], npt.NDArray[np.uint8]]
) -> dict[str, npt.NDArray[Any]]:
    """The content of `evidence/SPLIT.npz`: numbers and small pictures, no Python objects.

    `images` is the split (`Images`); `picture` turns one of them into (h, w, 3) bytes.
    """
    worst, worst_images = _pictured(found, found.worst(), images, picture)
    pairs, pair_images = _pictured(found, found.pairs(), images, picture)
    return {
        "confusion": found.confusion,
        "worst_images": worst_images,
        "worst_target": found.target[worst],
        "worst_pred": found.pred[worst],
        "worst_probability": found.probability[worst],
        "worst_loss": found.loss[worst],
        "worst_name": np.asarray(
            [_name(images, int(i)) for i in found.index[worst]], dtype=np.str_
        ),
        "pair_images": pair_images,
        "pair_true": found.target[pairs],
        "pair_pred": found.pred[pairs],
        "count": np.asarray(len(found.target)),
        **{name: np.asarray(value) for name, value in found.metrics.items()},
    }


def pack(content: dict[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as the bytes of an `.npz` file."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **content)
    return stream.getvalue()


def thumbnail(image: Tensor, *, longest: int = THUMBNAIL) -> npt.NDArray[np.uint8]:
    """One stored image (C, H, W), bytes or floats in [0, 1], as (h, w, 3) bytes, at most
    `longest` wide and high."""
    pixels = image.float() / 255 if image.dtype == torch.uint8 else image.float()
    pixels = _three_channels(pixels)
    if max(pixels.shape[1:]) > longest:
        scale = longest / max(pixels.shape[1:])
        size = [max(1, round(each * scale)) for each in pixels.shape[1:]]
        pixels = F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0]
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _three_channels(pixels: Tensor) -> Tensor:
    if pixels.shape[0] >= 3:
        return pixels[:3]
    return pixels[:1].expand(3, *pixels.shape[1:])


def _pictured(
    found: Examination,
    rows: npt.NDArray[np.int64],
    images: Any,
    picture: Callable[[Tensor], npt.NDArray[np.uint8]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Those of `rows` whose image can still be read, and their pictures."""
    kept, pictures = [], []
    for row in rows:
        with contextlib.suppress(UnreadableImageError):
            pictures.append(picture(images.read(int(found.index[row]))))
            kept.append(row)
    if not pictures:
        return np.zeros(0, np.int64), np.zeros((0, 1, 1, 3), np.uint8)
    return np.array(kept, np.int64), np.stack(pictures)


def _name(images: Any, index: int) -> str:
    # A name that is not UTF-8 cannot be stored as text: its bytes are shown instead.
    return str(images.name(index)).encode("utf-8", "backslashreplace").decode()[:300]
