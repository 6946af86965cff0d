"""The scratch of one operation on the CPU: what it takes and gives back while it runs.

Found with the allocator's own log, operation by operation (torch 2.13, oneDNN 3.12, AVX-512). A
convolution of contiguous images is the large one: oneDNN computes on blocks of 16 channels, so
input, weight and result (and in the backward pass their gradients) are there a second time,
padded to whole blocks. Images in `channels_last` need no second layout, their weights do.
Scratch that grows with the number of threads alone (kilobytes) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def scratch(operation: str, args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    """Bytes that the aten operation called `operation` holds at its fullest beyond its
    arguments and its `outputs`; 0 for most."""
    rule = _RULES.get(operation)
    return rule(args, outputs) if rule else 0


def lstm_workspace(rows: Tensor, hidden: int) -> int:
    """Bytes that an LSTM layer over `rows` (T, N, I) keeps for its backward pass.

    oneDNN's layout: the gates, the hidden states, three runs of states as wide as the input or
    the state and two as wide as the state, each from a new page of 4 KiB.
    """
    steps, batch, width = rows.shape
    wide = _row(max(width, hidden))
    parts = [
        steps * batch * _row(4 * hidden),
        steps * batch * _row(hidden),
        *[2 * (steps + 1) * batch * wide] * 3,
        *[2 * (steps + 1) * batch * hidden] * 2,
    ]
    return sum(_pages(4 * part) for part in parts)


def _convolution(args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    image, weight, transposed, groups = args[0], args[1], args[6], args[8]
    out = outputs[0]
    if not _by_onednn(args[:9]):
        return 0 if transposed else _columns(image, weight, out)
    if _channels_last(image):
        return 2 * weight.nbytes
    if _odd_groups(weight, groups):
        return max(_patches(image, weight, out), out.nbytes)
    blocks = (
        _blocked(image, groups, source=True)
        + _blocked_weight(weight, groups, source=True)
        + _blocked(out, groups)
    )
    after = _blocked(out, groups) + (2 * out.nbytes if transposed else out.nbytes)
    return max(blocks, after) - out.nbytes


def _convolution_backward(args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    grad, image, weight, transposed, groups, mask = *args[:3], args[7], args[9], args[10]
    if not _by_onednn((image, weight, None, *args[4:10])):
        return 0 if transposed else _columns(image, weight, grad)
    if _channels_last(image):
        return 3 * weight.nbytes
    by_input = image.nbytes if mask[0] else 0
    out = by_input + (weight.nbytes if mask[1] else 0)
    full = 0
    if _odd_groups(weight, groups):
        patches = _patches(image, weight, grad)
        sizes = (image.nbytes + patches, 2 * image.nbytes, by_input + 2 * weight.nbytes + patches)
        return max(0, max(sizes) - out)
    if mask[0]:
        blocked = _blocked(image, groups)
        blocks = _blocked(grad, groups) + _blocked_weight(weight, groups) + blocked
        full = max(blocks, blocked + by_input)
    if mask[1]:
        image_block = _blocked(image, groups, source=True)
        weight_block = _blocked_weight(weight, groups, source=True)
        blocks = _blocked(grad, groups) + image_block + weight_block
        full = max(full, by_input + blocks, by_input + weight_block + weight.nbytes)
    return max(0, full - out)


def _by_onednn(args: Sequence[Any]) -> bool:
    image, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args
    backend = torch._C._select_conv_backend(
        image, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )
    return "Mkldnn" in str(backend)


def _columns(image: Tensor, weight: Tensor, out: Tensor) -> int:
    """The patches of all images side by side, as the plain convolution multiplies them."""
    if math.prod(weight.shape[2:]) == 1:
        return 0
    positions = out.shape[0] * math.prod(out.shape[2:])
    return positions * math.prod(weight.shape[1:]) * image.element_size()


def _odd_groups(weight: Tensor, groups: int) -> bool:
    """Whether channels fill no blocks group by group: then oneDNN multiplies patches."""
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    return groups > 1 and inputs > 1 and bool(inputs % 4 or outputs % 4)


def _patches(image: Tensor, weight: Tensor, out: Tensor) -> int:
    """The patches of one image and group."""
    return math.prod(weight.shape[1:]) * math.prod(out.shape[2:]) * image.element_size()


def _channels_last(image: Tensor) -> bool:
    return image.dim() == 4 and (
        image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()
    )


def _blocked(image: Tensor, groups: int, *, source: bool = False) -> int:
    """Bytes of `image` (N, C, ...) in blocks of channels. A source of a few channels is read as
    it is, one of less than a block is copied without padding."""
    channels = image.shape[1]
    if source and channels < _block() and groups == 1:
        return 0 if channels <= 4 else image.nbytes
    if groups == 1 or groups == channels:
        return image.nbytes // channels * _padded(channels)
    return image.nbytes


def _blocked_weight(weight: Tensor, groups: int, *, source: bool = False) -> int:
    """Bytes of `weight` (O, C / groups, ...) in blocks of both kinds of channels."""
    first, second = weight.shape[:2]
    if groups > 1:
        whole = second == 1
        return weight.nbytes // first * (_padded(first) if whole else first)
    if source and second < _block():
        return weight.nbytes // first * _padded(first)
    return weight.nbytes // (first * second) * _padded(first) * _padded(second)


def _padded(channels: int) -> int:
    return -(-channels // _block()) * _block()


def _block() -> int:
    return 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8


def _resize(args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    """Resizing computes on a `channels_last` copy of its input and of its result."""
    image = args[0]
    return 0 if _channels_last(image) else image.nbytes + outputs[0].nbytes


def _lstm(args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    """Weights in oneDNN's rows, the sum of the biases, a run of gates and some states."""
    steps, batch, width = args[0].shape
    gates, hidden = args[2].shape
    if args[15]:
        weights = _row(gates) * (width + hidden)
        return 4 * (weights + gates + 2 * batch * hidden) + _pages(4 * steps * batch * _row(gates))
    wider = 2 * (steps + 1) * batch * max(0, width - hidden)
    states = 12 * batch * hidden + wider
    return 4 * (gates * (width + hidden + 1) + states) + _pages(4 * steps * batch * gates)


def _lstm_backward(args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    """As forward, and the gradients of the outputs once more, in whole blocks."""
    steps, batch, width = args[0].shape
    gates, hidden = args[2].shape
    weights = _row(gates) * (width + hidden)
    states = (steps + 4) * batch * hidden
    run = _pages(4 * steps * batch * _row(gates))
    return 4 * (weights + 2 * gates + states) + run


def _attention(args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    """Each thread holds one tile of scores, its result and the scale of its rows."""
    query, key = args[0], args[1]
    rows = query.shape[-2]
    tile = 256 if rows >= 768 else 64 if rows >= 192 else 32
    tile, keys = min(tile, rows), min(512, key.shape[-2])
    return 4 * torch.get_num_threads() * tile * (keys + 2 + query.shape[-1])


def _encoder_layer(args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    """The fused encoder layer of an evaluation: attention, then the hidden layer's result."""
    hidden = args[14].shape[0] * args[0].nbytes // args[0].shape[-1]
    attention = _fused_attention(args[0], args[0], args[2])
    return max(attention, hidden + args[0].nbytes)


def _fused_attention(query: Tensor, key: Tensor, heads: int) -> int:
    """Query, key and value as one product, then apart; later beside the scores."""
    scores = heads * query.shape[-2] * key.nbytes // key.shape[-1]
    return max(5 * query.nbytes, 2 * query.nbytes + scores)


def _pages(size: int) -> int:
    return -(-size // 4096) * 4096


def _row(length: int) -> int:
    """oneDNN's row of `length` floats: whole cache lines, but no multiple of 256 floats."""
    padded = -(-length // 16) * 16
    return padded + 16 if padded % 256 == 0 else padded


_RULES: dict[str, Callable[[Sequence[Any], Sequence[Tensor]], int]] = {
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "upsample_nearest2d": _resize,
    "upsample_bilinear2d": _resize,
    "mkldnn_rnn_layer": _lstm,
    "mkldnn_rnn_layer_backward": _lstm_backward,
    "_transformer_encoder_layer_fwd": _encoder_layer,
    "_native_multi_head_attention": lambda args, outputs: _fused_attention(
        args[0], args[1], args[4]
    ),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention,
}
