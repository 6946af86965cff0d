"""An image that a field is drawn on, as pixels: from a file or an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from netwright.core.errors import DataError, SettingError
from netwright.data.given import open_images
from netwright.records.arrays import Array
from netwright.records.inspection import InspectionRecord
from netwright.report.field_picture import image_size


def input_pixels(image: Any, record: InspectionRecord) -> Array:
    """An image as uint8 (H, W, 3) or (H, W): a file, or an array of bytes or of 0 to 1.

    Raises `SettingError` for a network that takes none and for what is no image, `DataError` for
    a file that cannot be read.
    """
    size = image_size(record)
    if size is None:
        raise SettingError("{model} takes no images.", model=record.model or record.kind)
    if isinstance(image, str | Path):
        (item,) = open_images([image], shape=(3, *size))
        if item.image is None:
            raise DataError("{path}: {reason}", path=str(image), reason=item.error)
        return item.image.permute(1, 2, 0).numpy()
    values = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if values.ndim == 4 and len(values) == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[0] in (1, 3) and values.shape[2] not in (1, 3):
        values = np.moveaxis(values, 0, 2)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise SettingError(
            "An image is expected, (H, W), (H, W, 3) or (3, H, W), not an array of {shape}.",
            shape="x".join(map(str, values.shape)),
        )
    if values.dtype != np.uint8:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        spread = (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-12))
        values = 255 * (np.nan_to_num(values) - spread[0]) / (spread[1] - spread[0])
    return np.ascontiguousarray(values.clip(0, 255).astype(np.uint8))
