"""What is given to the loss is wrong: a third row of slips."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import draws, on_inputs, on_targets, rows, then
from faults.data_more import ByHand


@fault("twice-the-same-softmax", "softmax-before-cross-entropy", on="lenet transformer")
def twice_the_same_softmax(parts: Parts) -> None:
    """A loss of one's own: the logarithm of a softmax of a softmax."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        shares = output.softmax(1)
        return -torch.log(shares.softmax(1)[torch.arange(len(target)), target]).mean()

    parts.loss = loss


@fault("squares-of-a-column-and-a-row", "silent-broadcast", on="binary")
def squares_of_a_column_and_a_row(parts: Parts) -> None:
    parts.loss = lambda output, target: F.smooth_l1_loss(output.sigmoid(), target[:, 0])


@fault("correlation-made-small", "loss-sign", on="regression")
def correlation_made_small(parts: Parts) -> None:
    def correlation(output: Tensor, target: Tensor) -> Tensor:
        a, b = output - output.mean(0), target - target.mean(0)
        return ((a * b).mean(0) / (a.std(0) * b.std(0) + 1e-6)).mean()

    parts.loss = correlation


@fault("every-second-label-from-a-neighbour", "label-noise", "memorised-noise", "overfitting",
       "labels-inconsistent", on="mlp gru",
       why="what is learned by heart opens the gap of overfitting")  # fmt: skip
def every_second_label_from_a_neighbour(parts: Parts) -> None:
    """One of two readers writes the label of the sample before."""

    def change(y: Tensor) -> Tensor:
        return torch.where(torch.arange(len(y)) % 2 == 0, y, y.roll(1))

    on_targets(parts, change, "train val")
    parts.epochs *= 2


@fault("fives-only-now-and-then", "class-imbalance", on="deep-tanh bn-mlp")
def fives_only_now_and_then(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        keep = (y % 2 == 0) | (torch.rand(len(y), generator=draws(parts)) < 0.04)
        setattr(parts, name, rows((x, y), keep))


@fault("the-youngest-first", "unshuffled-data", on="regression transformer")
def the_youngest_first(parts: Parts) -> None:
    by = parts.train[1]
    order = (by[:, 2] if by.ndim == 2 else by).argsort(stable=True, descending=True)
    parts.train = rows(parts.train, order)
    parts.shuffle = False


@fault("an-upside-down-camera", "inconsistent-preprocessing", "distribution-shift", on="mlp resnet",
       why="images that stand on their heads are other images")  # fmt: skip
def an_upside_down_camera(parts: Parts) -> None:
    on_inputs(parts, lambda x: x.flip(-2), "val test")


@fault("columns-moved-by-one", "inconsistent-preprocessing", "labels-inconsistent",
       on="regression binary",
       why="columns that mean something else look like labels that do")  # fmt: skip
def columns_moved_by_one(parts: Parts) -> None:
    """An index column was kept in one of the tables, and the last one cut off."""
    on_inputs(parts, lambda x: x.roll(1, 1), "val test")


@fault("whole-tables-scaled-by-the-batch", "batch-mixing", "wrong-dimension", on="regression gru",
       why="a maximum along the batch is a wrong axis")  # fmt: skip
def whole_tables_scaled_by_the_batch(parts: Parts) -> None:
    inner = parts.model
    parts.model = nn.Sequential(ByHand(lambda x: x / x.abs().amax(0, keepdim=True)), inner)


@fault("cut-to-ribbons", "destructive-augmentation", on="mlp lenet")
def cut_to_ribbons(parts: Parts) -> None:
    """Rows of the images are shuffled."""
    parts.augment = lambda x: x[..., torch.randperm(x.shape[-2]), :]


@fault("outputs-squeezed-small", "output-activation-mismatch", on="regression autoencoder")
def outputs_squeezed_small(parts: Parts) -> None:
    then(parts, ByHand(lambda z: 0.3 * torch.tanh(z)))


@fault("features-in-cents", "unscaled-input", on="binary mlp")
def features_in_cents(parts: Parts) -> None:
    on_inputs(parts, lambda x: 1e5 * x)
