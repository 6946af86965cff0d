"""LeNet-5, ResNet-20 and MobileNetV2 in Keras: Netwright's layers, channels last.

Zeros around the maps are Keras's own `same`, which with stride 2 puts them on one side only; the
arithmetic and the parameters are those of the other contenders.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
             (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip


def build(name: str, shape: tuple[int, int, int], seed: int) -> keras.Model:
    """The network `name` for images (C, H, W), ten classes."""
    keras.utils.set_random_seed(seed)
    channels, height, width = shape
    images = keras.Input((height, width, channels))
    return keras.Model(images, NETWORKS[name](images))


def lenet5(x: Any) -> Any:
    x = layers.Conv2D(6, 5, padding="same", kernel_initializer=he())(x)
    x = layers.ReLU()(layers.MaxPooling2D(2)(x))
    x = layers.Conv2D(16, 5, kernel_initializer=he())(x)
    x = layers.Flatten()(layers.ReLU()(layers.MaxPooling2D(2)(x)))
    x = layers.Dense(120, activation="relu", kernel_initializer=he())(x)
    x = layers.Dense(84, activation="relu", kernel_initializer=he())(x)
    return layers.Dense(10, kernel_initializer=he(1.0))(x)


def resnet20(x: Any) -> Any:
    x = layers.ReLU()(norm(conv(x, 16, 3)))
    for stage, channels in enumerate((16, 32, 64)):
        for place in range(3):
            stride = 2 if stage and not place else 1
            y = layers.ReLU()(norm(conv(x, channels, 3, stride)))
            y = norm(conv(y, channels, 3))
            if stride == 2:  # option A: every second pixel, and maps of zeros
                extra = channels // 4
                x = keras.ops.pad(
                    x[:, ::2, ::2, :], ((0, 0), (0, 0), (0, 0), (extra, channels // 2 - extra))
                )
            x = layers.ReLU()(layers.add([y, x]))
    return layers.Dense(10, kernel_initializer=he(1.0))(layers.GlobalAveragePooling2D()(x))


def mobilenet_v2(x: Any) -> Any:
    x = relu6(norm(conv(x, 32, 3, 2)))
    channels = 32
    for expansion, out, repeats, first in MOBILENET:
        for place in range(repeats):
            stride = first if place == 0 else 1
            y = relu6(norm(conv(x, channels * expansion, 1))) if expansion > 1 else x
            y = layers.DepthwiseConv2D(
                3, stride, padding="same", use_bias=False, depthwise_initializer=he_depthwise()
            )(y)
            y = norm(conv(relu6(norm(y)), out, 1))
            x = layers.add([x, y]) if stride == 1 and channels == out else y
            channels = out
    x = layers.GlobalAveragePooling2D()(relu6(norm(conv(x, 1280, 1))))
    return layers.Dense(10, kernel_initializer=he(1.0))(layers.Dropout(0.2)(x))


def conv(x: Any, channels: int, side: int, stride: int = 1) -> Any:
    return layers.Conv2D(
        channels, side, stride, padding="same", use_bias=False, kernel_initializer=he()
    )(x)


def norm(x: Any) -> Any:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def relu6(x: Any) -> Any:
    return layers.ReLU(max_value=6.0)(x)


def he(scale: float = 2.0) -> Any:
    return keras.initializers.VarianceScaling(scale, "fan_in", "untruncated_normal")


def he_depthwise() -> Any:
    """He's draw for nine inputs a unit: Keras would count every map as an input."""
    return keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5)


NETWORKS = {"lenet5": lenet5, "resnet20": resnet20, "mobilenet_v2": mobilenet_v2}
