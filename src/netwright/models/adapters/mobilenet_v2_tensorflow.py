"""MobileNetV2 as TensorFlow Lite keeps it: batch norm folded in, weights in 8 bits.

Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-
only inference", eq. 1: weight = (q - zero_point) * scale, one scale and zero point for a layer.
A norm in evaluation mode is a factor and a shift for each map, which the convolution before it
takes over as part of its weights and as its bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from netwright.models.adapters import ADAPTERS, Pretrained, load_pretrained

NAME = "mobilenet-v2-tensorflow"
_HEAD = "classifier.1"
_BACKGROUND = 1001


def _recognises(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool:
    return f"{_HEAD}.weight_q" in tensors and "features.18.0.weight_q" in tensors


@ADAPTERS.register(
    NAME,
    network="mobilenet_v2",
    needs={"norm": "none", "padding": "same"},
    recognises=_recognises,
    short_side=256,
    size=(224, 224),
    mean=(128 / 255, 128 / 255, 128 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
    source="google-coral/test_data, mobilenet_v2_1.0_224_quant.tflite, Apache-2.0",
)
def mobilenet_v2_tensorflow(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """MobileNetV2 of ImageNet from 8 bits, its norms folded, for TensorFlow's padding.

    The network is `mobilenet_v2` with `norm=none`, for the norms are folded, and
    `padding=same`, for the weights expect TensorFlow's padding. The first of its 1,001 classes,
    "background", is left out.
    """
    floats = dequantise(tensors)
    for name, each in floats.items():
        if name.startswith(_HEAD):  # a 1x1 convolution over the mean of each map
            classes = slice(1, None) if len(each) == _BACKGROUND else slice(None)
            floats[name] = each.flatten(1)[classes] if each.dim() > 1 else each[classes]
    return floats


def load_mobilenet_v2(path: str | Path) -> Pretrained:
    """MobileNetV2 with the weights of `path`, in floats; 1,000 classes of ImageNet."""
    return load_pretrained(NAME, path)


def dequantise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each `NAME.weight_q` with its scale and zero point as the float tensor `NAME.weight`.

    What is not quantised stays as it is.

    >>> import torch
    >>> q = {"a.weight_q": torch.tensor([0, 128, 255], dtype=torch.uint8),
    ...      "a.weight_scale": torch.tensor(0.5), "a.weight_zero_point": torch.tensor(128)}
    >>> dequantise(q)["a.weight"].tolist()
    [-64.0, 0.0, 63.5]
    """
    floats: dict[str, Tensor] = {}
    for name, each in tensors.items():
        if name.endswith(".weight_q"):
            layer = name.removesuffix("_q")
            if f"{layer}_scale" not in tensors or f"{layer}_zero_point" not in tensors:
                floats[name] = each  # left as it is, to be refused by its name
                continue
            scale, zero_point = tensors[f"{layer}_scale"], tensors[f"{layer}_zero_point"]
            floats[layer] = (each.float() - zero_point.float()) * scale
        elif not name.endswith((".weight_scale", ".weight_zero_point")):
            floats[name] = each
    return floats
