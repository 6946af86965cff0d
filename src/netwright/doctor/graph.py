"""Reading the autograd graph: which operations lie between the last weights and a tensor."""

from __future__ import annotations

from typing import Any

from torch import Tensor

WEIGHTED = {
    "addmm", "mm", "bmm", "convolution", "mkldnn_convolution", "cudnn_convolution", "linear",
    "embedding", "mkldnn_linear", "baddbmm", "squeeze_linear",
}  # fmt: skip
"""Operations that use weights, by torch's word for their backward."""

PASSING = {"to_copy", "clone", "contiguous", "alias", "mul_by_one"}

LONGEST = 12


def operations_between(tensor: Tensor) -> tuple[str, ...]:
    """Torch's words for the operations from `tensor` back to the last layer with weights, nearest
    to the tensor first, along the first input of each.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Softmax(1))
    >>> operations_between(model(torch.ones(1, 2)))
    ('softmax',)
    """
    found: list[str] = []
    node: Any = tensor.grad_fn
    while node is not None and len(found) < LONGEST:
        word = name_of(node)
        if word in WEIGHTED:
            break
        if word == "accumulate_grad":
            break
        found.append(word)
        following = [each for each, _ in node.next_functions if each is not None]
        node = following[0] if following else None
    return tuple(found)


def name_of(node: Any) -> str:
    """`softmax` for a `SoftmaxBackward0`.

    >>> class LogSoftmaxBackward0: ...
    >>> name_of(LogSoftmaxBackward0())
    'log_softmax'
    """
    word = type(node).__name__
    bare = word.rstrip("0123456789").removesuffix("Backward")
    letters = [
        f"_{each.lower()}" if each.isupper() and place else each.lower()
        for place, each in enumerate(bare)
    ]
    return "".join(letters)
