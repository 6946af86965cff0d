"""What is given to the loss is wrong: slips as they are made in scripts."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from setups import Parts, accuracy, stack
from torch import Tensor, nn

from faults import fault
from faults._surgery import draws, on_inputs, on_targets, one_output, rows, then

# Output, loss, targets


class ByHand(nn.Module):
    """Layers of one function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@fault("exponentials-over-the-sum", "softmax-before-cross-entropy", on="resnet gru transformer")
def exponentials_over_the_sum(parts: Parts) -> None:
    """A softmax written out, before the loss that has its own."""

    def shares(z: Tensor) -> Tensor:
        grown = torch.exp(z - z.max(1, keepdim=True).values)
        return grown / grown.sum(1, keepdim=True)

    then(parts, ByHand(shares))


@fault("odds-before-a-loss-of-logits", "sigmoid-before-bce-with-logits", on="binary segmentation")
def odds_before_a_loss_of_logits(parts: Parts) -> None:
    then(parts, ByHand(lambda z: 1 / (1 + torch.exp(-z))))


@fault("log-softmax-down-the-batch", "wrong-dimension", "batch-mixing", on="gru lenet",
       why="a softmax over the batch is a wrong axis and mixes the samples")  # fmt: skip
def log_softmax_down_the_batch(parts: Parts) -> None:
    parts.loss = lambda output, target: F.nll_loss(F.log_softmax(output, 0), target)


@fault("clamped-between-0-and-1", "output-activation-mismatch", on="regression")
def clamped_between_0_and_1(parts: Parts) -> None:
    then(parts, ByHand(lambda z: z.clamp(0, 1)))


@fault("softplus-on-centred-targets", "output-activation-mismatch", on="regression")
def softplus_on_centred_targets(parts: Parts) -> None:
    then(parts, nn.Softplus())


@fault("distance-to-the-class-number", "loss-mismatch", on="mlp lenet transformer")
def distance_to_the_class_number(parts: Parts) -> None:
    """Every unit is drawn to the number of the class."""
    parts.loss = lambda output, target: F.smooth_l1_loss(
        output, target[:, None].float().expand_as(output)
    )


@fault("log-likelihood-without-its-sign", "loss-sign", on="lenet gru")
def log_likelihood_without_its_sign(parts: Parts) -> None:
    parts.loss = lambda output, target: (
        F.log_softmax(output, 1).gather(1, target[:, None]).squeeze(1).mean()
    )


@fault("r-squared-as-a-loss", "loss-sign", on="regression autoencoder")
def r_squared_as_a_loss(parts: Parts) -> None:
    """The score, which is better the higher it is, is made as small as can be."""

    def r_squared(output: Tensor, target: Tensor) -> Tensor:
        left = (target - output).square().sum()
        return 1 - left / (target - target.mean(0)).square().sum()

    parts.loss = r_squared


@fault("column-against-row-of-log-cosh", "silent-broadcast", on="regression")
def column_against_row_of_log_cosh(parts: Parts) -> None:
    """(N, 1) minus (N,) in a loss of one's own."""
    one_output(parts)

    def log_cosh(output: Tensor, target: Tensor) -> Tensor:
        off = output - target[:, 0]
        return (off + F.softplus(-2 * off) - math.log(2)).mean()

    parts.loss = log_cosh


@fault("loss-wrapped-in-a-new-tensor", "loss-ignores-parameters", "detached-graph",
       on="mlp regression",
       why="the wrapped loss is a detached one, and no parameter has part in it")  # fmt: skip
def loss_wrapped_in_a_new_tensor(parts: Parts) -> None:
    """The error says it wants a gradient, so it is given one."""
    loss = parts.loss

    def wrapped(output: Tensor, target: Tensor) -> Tensor:
        return loss(output, target).detach().clone().requires_grad_()

    parts.loss = wrapped


@fault("one-class-at-bias-twenty", "initial-loss-off", on="mlp resnet")
def one_class_at_bias_twenty(parts: Parts) -> None:
    with torch.no_grad():
        last = [each for each in parts.model.modules() if isinstance(each, nn.Linear)][-1]
        last.bias[3] = 20.0
    parts.epochs = 2
    parts.rate *= 0.3


@fault("bias-of-fifteen-on-pixels", "initial-loss-off", on="segmentation binary")
def bias_of_fifteen_on_pixels(parts: Parts) -> None:
    with torch.no_grad():
        last = [each for each in parts.model.modules() if getattr(each, "bias", None) is not None]
        last[-1].bias.fill_(-15.0)
    parts.epochs = 3


@fault("labels-one-row-down", "labels-inconsistent", "label-noise", "memorised-noise",
       on="mlp gru",
       why="the labels of other rows are wrong ones and learned by heart")  # fmt: skip
def labels_one_row_down(parts: Parts) -> None:
    """The header of the label file was read as a row, in training alone."""
    on_targets(parts, lambda y: y.roll(1, 0), "train")


@fault("fours-named-nine", "label-noise", "labels-inconsistent", on="mlp lenet",
       why="labels of two classes disagree with those of validation")  # fmt: skip
def fours_named_nine(parts: Parts) -> None:
    """One of those who labelled mixes three pairs of classes up."""
    chance = torch.rand(len(parts.train[1]), generator=draws(parts)) < 0.6

    def mixed(y: Tensor) -> Tensor:
        other = torch.tensor([6, 7, 2, 8, 9, 5, 0, 1, 3, 4])[y]
        return torch.where(chance, other, y)

    on_targets(parts, mixed, "train")


@fault("one-label-in-three-drawn-anew", "label-noise", "memorised-noise", "overfitting",
       on="lenet resnet gru deep-relu",
       why="what is learned by heart opens the gap of overfitting")  # fmt: skip
def one_label_in_three_drawn_anew(parts: Parts) -> None:
    draw = draws(parts)
    count = len(parts.train[1])
    which = torch.rand(count, generator=draw) < 0.35
    classes = int(parts.train[1].max()) + 1
    other = torch.randint(0, classes, (count,), generator=draw)
    on_targets(parts, lambda y: torch.where(which, other, y), "train")
    parts.epochs *= 2


@fault("prices-in-cents-by-l1", "unscaled-target", on="regression")
def prices_in_cents_by_l1(parts: Parts) -> None:
    parts.loss = F.l1_loss
    on_targets(parts, lambda y: 20_000 * y + 50_000)


@fault("few-are-ill", "class-imbalance", on="binary")
def few_are_ill(parts: Parts) -> None:
    _rare(parts, [1], 0.03)


@fault("digits-above-four-are-rare", "class-imbalance", on="mlp lenet resnet")
def digits_above_four_are_rare(parts: Parts) -> None:
    _rare(parts, [5, 6, 7, 8, 9], 0.03)


def _rare(parts: Parts, which: list[int], kept: float) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        rare = torch.isin(y.reshape(len(y), -1)[:, 0].long(), torch.tensor(which))
        keep = ~rare | (torch.rand(len(y), generator=draws(parts)) < kept)
        setattr(parts, name, rows((x, y), keep))


# Data


@fault("a-date-among-the-features", "unscaled-input", on="regression binary")
def a_date_among_the_features(parts: Parts) -> None:
    def stamped(x: Tensor) -> Tensor:
        return torch.cat([1.6e9 + 1e6 * x[:, :1], x[:, 1:]], 1)

    on_inputs(parts, stamped)


@fault("twice-divided-by-255", "unscaled-input", on="lenet mlp")
def twice_divided_by_255(parts: Parts) -> None:
    on_inputs(parts, lambda x: x / 255)


@fault("cropped-to-the-border", "constant-input", on="mlp lenet")
def cropped_to_the_border(parts: Parts) -> None:
    """The box that was cut out lies in the corner, and is blown up to the size of the image."""
    on_inputs(parts, lambda x: x[..., :1, :1].expand_as(x).clone())


@fault("logarithm-of-black", "nonfinite-input", "nonfinite", on="mlp lenet",
       why="the first bad value is that of the input")  # fmt: skip
def logarithm_of_black(parts: Parts) -> None:
    on_inputs(parts, torch.log)


@fault("validation-on-its-side", "inconsistent-preprocessing", "distribution-shift",
       on="lenet mlp", why="another transform is a shift of the inputs")  # fmt: skip
def validation_on_its_side(parts: Parts) -> None:
    """Width before height in one of two readers; what is met in use is as validation is."""
    on_inputs(parts, lambda x: x.transpose(-1, -2), "val test")


@fault("min-max-here-z-scores-there", "inconsistent-preprocessing", "distribution-shift",
       on="regression binary", why="another scale is a shift of the inputs")  # fmt: skip
def min_max_here_z_scores_there(parts: Parts) -> None:
    def squeezed(x: Tensor) -> Tensor:
        low, high = x.min(0).values, x.max(0).values
        return (x - low) / (high - low)

    on_inputs(parts, squeezed, "val test")


@fault("columns-sorted-by-name-later", "inconsistent-preprocessing", "distribution-shift",
       "labels-inconsistent", on="regression binary",
       why="no feature looks shifted, but inputs and labels belong together otherwise")  # fmt: skip
def columns_sorted_by_name_later(parts: Parts) -> None:
    """A table whose columns were sorted by name, in validation and in use."""
    order = torch.randperm(parts.train[0].shape[1], generator=draws(parts))
    on_inputs(parts, lambda x: x[:, order], "val test")


@fault("one-class-after-the-other", "unshuffled-data", on="gru transformer lenet")
def one_class_after_the_other(parts: Parts) -> None:
    """Folder by folder, by a list of files."""
    order = parts.train[1].argsort(stable=True)
    parts.train = rows(parts.train, order)
    parts.shuffle = False


@fault("from-cheap-to-dear", "unshuffled-data", on="regression")
def from_cheap_to_dear(parts: Parts) -> None:
    """A table sorted by what is to be foretold, and read in that order."""
    order = parts.train[1][:, 0].argsort()
    parts.train = rows(parts.train, order)
    parts.shuffle = False


@fault("an-index-modulo-a-hundred", "stuck-data-feed", "duplicate-samples", "overfitting",
       "too-much-capacity", on="gru transformer",
       why="the set is a hundred rows over and over, which a network learns by heart")  # fmt: skip
def an_index_modulo_a_hundred(parts: Parts) -> None:
    """An index that is taken modulo too small a number."""
    parts.train = rows(parts.train, torch.arange(len(parts.train[0])) % 100)


@fault("validation-drawn-from-training", "split-leakage", on="binary", hurts="honesty")
def validation_drawn_from_training(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(250))
    parts.val = rows(parts.train, torch.randperm(250, generator=draws(parts)))
    parts.epochs = 100


@fault("trained-on-half-of-the-world", "distribution-shift", on="regression mlp")
def trained_on_half_of_the_world(parts: Parts) -> None:
    """The data of one season: half the values of a feature, or the first half of the classes."""
    x, y = parts.train
    keep = x[:, 0] < -0.2 if x.ndim == 2 else y < 6
    parts.train = rows(parts.train, keep)


class TimeFirst(nn.Module):
    """A GRU that takes what it is given for (T, N, F)."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(2, 24)
        self.head = nn.Linear(24, 4)

    def forward(self, steps: Tensor) -> Tensor:
        return self.head(self.cell(steps)[0][:, -1])


@fault("time-first-by-default", "batch-mixing", on="gru")
def time_first_by_default(parts: Parts) -> None:
    parts.model = TimeFirst()


@fault("measured-by-its-neighbours", "batch-mixing", "wrong-dimension", on="mlp gru",
       why="a norm along the batch is a wrong axis")  # fmt: skip
def measured_by_its_neighbours(parts: Parts) -> None:
    """Logits of length one, but along the batch."""
    then(parts, ByHand(lambda z: F.softmax(4 * z, 0) * len(z)))


@fault("turned-any-way-round", "destructive-augmentation", on="mlp lenet")
def turned_any_way_round(parts: Parts) -> None:
    """Random flips and quarter turns; digits are not made for that."""

    def turned(x: Tensor) -> Tensor:
        return torch.stack(
            [
                torch.rot90(each, int(torch.randint(0, 4, ())), (-2, -1)).flip(
                    [-1] if torch.rand(()) < 0.5 else []
                )
                for each in x
            ]
        )

    parts.augment = turned


@fault("played-backwards-at-random", "destructive-augmentation", on="gru")
def played_backwards_at_random(parts: Parts) -> None:
    """Half of the sequences in reverse: left becomes right, and the label stays."""

    def reversed_some(x: Tensor) -> Tensor:
        which = torch.rand(len(x)) < 0.5
        return torch.where(which[:, None, None], x.flip(1), x)

    parts.augment = reversed_some


@fault("a-watermark-for-each-class", "shortcut", "distribution-shift", on="lenet mlp",
       why="a mark that is there in training alone is a shift as well")  # fmt: skip
def a_watermark_for_each_class(parts: Parts) -> None:
    """Each class was photographed by one camera that writes its number into a corner."""
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        x = x.clone()
        x[..., 0, 0] = (y.float() / 10).reshape(-1, *[1] * (x.ndim - 3))
        setattr(parts, name, (x, y))


@fault("labels-by-coin-toss", "labels-inconsistent", "memorised-noise", "label-noise",
       "overfitting", on="resnet gru",
       why="labels that mean nothing can only be learned by heart")  # fmt: skip
def labels_by_coin_toss(parts: Parts) -> None:
    draw = draws(parts)
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (x, y[torch.randperm(len(y), generator=draw)]))


_ = accuracy, stack
