"""Whether somebody tells the model which rows of a batch belong together, as a graph network is."""

from __future__ import annotations

from torch import Tensor, nn

from netwright.doctor.patient import Sample, tensors_in
from netwright.doctor.unfolding import Unfolded, given, word_of

PRODUCTS = {"matmul", "mm", "spmm", "addmm", "einsum", "bmm", "linear"}
GATHERED = {"index_add", "scatter_add", "scatter_reduce", "index_reduce", "segment_reduce"}


def related(way: Unfolded, sample: Sample, batch: int) -> bool:
    """Whether a relation between rows comes from outside: a matrix of rows by rows that is no
    weight and that nothing computed multiplies the features, or an index says which rows are
    summed. The rows are then parts of one thing. What the model computes itself from the rows,
    as attention that takes the batch for a sequence does, is no such relation."""
    made: set[int] = set()
    alone = sample.inputs[0] if len(sample.inputs) == 1 else None
    for call in way.calls:
        word = word_of(call)
        if word in PRODUCTS or word in GATHERED:
            outside = [
                each
                for each in given(call)
                if id(each) not in made
                and each is not alone
                and not isinstance(each, nn.Parameter)
                and not each.requires_grad
            ]
            if any(_tells(each, word, batch) for each in outside):
                return True
        made.update(id(each) for each in tensors_in(call.result, 3))
    return False


def _tells(values: Tensor, word: str, batch: int) -> bool:
    if word in GATHERED:
        return not values.is_floating_point() and values.ndim > 0
    return values.ndim >= 2 and tuple(values.shape[-2:]) == (batch, batch)
