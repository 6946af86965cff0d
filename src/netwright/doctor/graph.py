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

MOST = 200_000
"""Nodes of a graph after which it is followed no more."""


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


def leads_to(tensor: Tensor, nodes: set[Any]) -> bool:
    """Whether the graph of `tensor` comes to one of these nodes; where it is too large to be
    followed it is taken for granted.

    >>> import torch
    >>> a, b = (torch.ones(1, requires_grad=True) * 2 for _ in range(2))
    >>> leads_to(a.exp(), {a.grad_fn}), leads_to(b.exp(), {a.grad_fn})
    (True, False)
    """
    waiting: list[Any] = [tensor.grad_fn]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node in nodes or len(seen) > MOST:
            return True
        seen.add(node)
        waiting += [each for each, _ in node.next_functions]
    return False


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
