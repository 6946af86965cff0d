"""Faults of outputs, losses and targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import draws, on_targets, one_output, rows, then, weighted


@fault("softmax-in-the-model", "softmax-before-cross-entropy", on="mlp lenet gru transformer")
def softmax_in_the_model(parts: Parts) -> None:
    then(parts, nn.Softmax(1))


@fault("softmax-in-the-loss", "softmax-before-cross-entropy", on="resnet deep-relu bn-mlp")
def softmax_in_the_loss(parts: Parts) -> None:
    parts.loss = lambda output, y: F.cross_entropy(output.softmax(-1), y)


@fault(
    "sigmoid-before-cross-entropy",
    "output-activation-mismatch",
    "softmax-before-cross-entropy",
    on="mlp lenet transformer",
    why="a sigmoid is an activation of the wrong range, and squeezes the logits as a softmax does",
)
def sigmoid_before_cross_entropy(parts: Parts) -> None:
    then(parts, nn.Sigmoid())


@fault("sigmoid-in-the-model", "sigmoid-before-bce-with-logits", on="binary segmentation")
def sigmoid_in_the_model(parts: Parts) -> None:
    then(parts, nn.Sigmoid())


@fault("relu-on-logits", "output-activation-mismatch", on="mlp binary segmentation")
def relu_on_logits(parts: Parts) -> None:
    then(parts, nn.ReLU())


@fault("relu-on-a-regression", "output-activation-mismatch", on="regression")
def relu_on_a_regression(parts: Parts) -> None:
    then(parts, nn.ReLU())


@fault("tanh-on-a-regression", "output-activation-mismatch", on="regression")
def tanh_on_a_regression(parts: Parts) -> None:
    on_targets(parts, lambda y: 2 * y + 1)
    then(parts, nn.Tanh())


@fault("sigmoid-on-a-regression", "output-activation-mismatch", on="regression")
def sigmoid_on_a_regression(parts: Parts) -> None:
    then(parts, nn.Sigmoid())


@fault("tanh-on-pixels", "output-activation-mismatch", on="autoencoder")
def tanh_on_pixels(parts: Parts) -> None:
    """The pixels are kept as 0..8, the tanh has stayed from the tutorial."""
    on_targets(parts, lambda y: 8 * y)
    parts.model = nn.Sequential(*list(parts.model.children())[:-1], nn.Tanh())


@fault(
    "softmax-of-one-unit",
    "output-activation-mismatch",
    "constant-output",
    on="binary",
    why="a softmax of one unit is the constant 1",
)
def softmax_of_one_unit(parts: Parts) -> None:
    then(parts, nn.Softmax(1))
    parts.loss = nn.BCELoss()


@fault("mean-squares-of-class-numbers", "loss-mismatch", on="mlp lenet gru")
def mean_squares_of_class_numbers(parts: Parts) -> None:
    last = weighted(parts.model)[-1]
    head = nn.Linear(last.in_features, 1)
    if isinstance(parts.model, nn.Sequential):
        parts.model[-1] = head
    else:
        parts.model.head = head
    parts.loss = lambda output, y: F.mse_loss(output.squeeze(1), y.float())
    parts.right = lambda output, y: (output.squeeze(1).round() == y).sum()
    parts.score = lambda output, y: float((output.squeeze(1).round() == y).float().mean())
    parts.healthy = parts.loss


@fault(
    "nll-of-logits",
    "loss-mismatch",
    on="mlp lenet transformer",
)
def nll_of_logits(parts: Parts) -> None:
    parts.loss = F.nll_loss


@fault("nll-of-probabilities", "loss-mismatch", on="bn-mlp gru")
def nll_of_probabilities(parts: Parts) -> None:
    """Softmax where log-softmax was meant: the loss lies between -1 and 0."""
    parts.loss = lambda output, y: F.nll_loss(F.softmax(output, 1), y)


@fault("kl-of-probabilities", "loss-mismatch", on="mlp lenet")
def kl_of_probabilities(parts: Parts) -> None:
    def loss(output: Tensor, y: Tensor) -> Tensor:
        wanted = F.one_hot(y, output.shape[1]).float() * 0.9 + 0.1 / output.shape[1]
        return F.kl_div(output.softmax(1), wanted, reduction="batchmean")

    parts.loss = loss


@fault("bce-of-classes-numbered-0-to-3", "loss-mismatch", on="binary")
def bce_of_larger_numbers(parts: Parts) -> None:
    """Targets 0 and 3 where a probability is expected."""
    on_targets(parts, lambda y: 3 * y, "train val")


@fault(
    "cross-entropy-of-one-unit",
    "loss-mismatch",
    "constant-output",
    on="binary",
    why="cross-entropy of one unit is 0 whatever comes out",
)
def cross_entropy_of_one_unit(parts: Parts) -> None:
    parts.loss = lambda output, y: F.cross_entropy(output, torch.zeros(len(y), dtype=torch.long))


@fault("loss-of-the-wrong-sign", "loss-sign", on="mlp gru lenet")
def loss_of_the_wrong_sign(parts: Parts) -> None:
    parts.loss = lambda output, y: -F.cross_entropy(output, y)


@fault("squares-of-the-wrong-sign", "loss-sign", on="regression autoencoder")
def squares_of_the_wrong_sign(parts: Parts) -> None:
    parts.loss = lambda output, y: -F.mse_loss(output, y)


@fault("maximised", "loss-sign", on="deep-tanh segmentation")
def maximised(parts: Parts) -> None:
    """A loss that the optimizer is told to maximise."""
    rate = parts.rate
    parts.optimizer = lambda weights, _: torch.optim.SGD(
        weights, lr=rate, momentum=0.9, maximize=True
    )


@fault("softmax-over-the-batch", "wrong-dimension", on="mlp lenet bn-mlp transformer")
def softmax_over_the_batch(parts: Parts) -> None:
    parts.loss = lambda output, y: F.nll_loss(F.log_softmax(output, 0), y)


@fault("squares-broadcast", "silent-broadcast", on="regression")
def squares_broadcast(parts: Parts) -> None:
    one_output(parts)
    parts.loss = lambda output, y: F.mse_loss(output, y.squeeze(1))


@fault("huber-broadcast", "silent-broadcast", on="regression")
def huber_broadcast(parts: Parts) -> None:
    one_output(parts)
    parts.loss = lambda output, y: F.smooth_l1_loss(output, y.squeeze(1))


@fault("written-out-squares-broadcast", "silent-broadcast", on="regression")
def written_out_squares_broadcast(parts: Parts) -> None:
    one_output(parts)
    parts.loss = lambda output, y: ((output - y.squeeze(1)) ** 2).mean()


@fault(
    "loss-through-numpy",
    "detached-graph",
    "loss-ignores-parameters",
    on="mlp regression",
    why="the way back is cut just before the loss: both say so",
)
def loss_through_numpy(parts: Parts) -> None:
    healthy = parts.loss
    parts.loss = lambda output, y: healthy(
        torch.tensor(output.detach().numpy(), requires_grad=True), y
    )


@fault(
    "loss-of-rounded-answers",
    "detached-graph",
    "loss-ignores-parameters",
    on="binary",
    why="rounding has no gradient, so the parameters get none",
)
def loss_of_rounded_answers(parts: Parts) -> None:
    parts.loss = lambda output, y: F.binary_cross_entropy_with_logits(
        (output > 0).float().requires_grad_(), y
    )


@fault(
    "head-a-hundred-times-too-large",
    "initial-loss-off",
    "weights-too-large",
    on="lenet gru resnet",
    why="the first loss shows it, the weights of the head cause it",
)
def head_too_large(parts: Parts) -> None:
    with torch.no_grad():
        weighted(parts.model)[-1].weight.mul_(100)


@fault("head-with-a-bias-far-off", "initial-loss-off", on="regression segmentation autoencoder")
def head_with_a_bias_far_off(parts: Parts) -> None:
    with torch.no_grad():
        weighted(parts.model)[-1].bias.fill_(40.0)


@fault(
    "labels-from-1",
    "labels-shifted",
    "labels-out-of-range",
    on="mlp lenet gru",
    why="the highest label is out of range because all are shifted",
)
def labels_from_1(parts: Parts) -> None:
    on_targets(parts, lambda y: y + 1, "train val")


@fault("a-label-of-minus-one", "labels-out-of-range", on="mlp transformer")
def a_label_of_minus_one(parts: Parts) -> None:
    def change(y: Tensor) -> Tensor:
        y = y.clone()
        y[::5] = -1
        return y

    on_targets(parts, change, "train")


@fault(
    "labels-as-floats",
    "label-dtype",
    "loss-mismatch",
    on="mlp lenet",
    why="a float label is a wrong type, and makes the loss one of a regression",
)
def labels_as_floats(parts: Parts) -> None:
    on_targets(parts, lambda y: y.float(), "train val")


@fault("labels-as-one-hot-integers", "label-dtype", on="mlp gru")
def labels_as_one_hot_integers(parts: Parts) -> None:
    classes = int(parts.train[1].max()) + 1
    on_targets(parts, lambda y: F.one_hot(y, classes), "train val")


@fault(
    "labels-of-other-rows",
    "labels-inconsistent",
    "memorised-noise",
    "label-noise",
    on="mlp lenet binary",
    why="labels that have nothing to do with the inputs are noise through and through",
)
def labels_of_other_rows(parts: Parts) -> None:
    """Inputs were sorted by file name, labels were not."""
    order = torch.randperm(len(parts.train[1]), generator=draws(parts))
    on_targets(parts, lambda y: y[order], "train")


@fault("labels-numbered-otherwise-in-validation", "labels-inconsistent", on="mlp lenet resnet gru")
def labels_numbered_otherwise(parts: Parts) -> None:
    """Each split numbered the classes by itself: training is off, validation and test agree."""
    classes = int(parts.train[1].max()) + 1
    order = torch.roll(torch.arange(classes), 3)
    on_targets(parts, lambda y: order[y], "train")


@fault("two-classes-swapped-in-training", "labels-inconsistent", on="mlp bn-mlp")
def two_classes_swapped(parts: Parts) -> None:
    order = torch.arange(10)
    order[[3, 4, 7, 1]] = torch.tensor([4, 3, 1, 7])
    on_targets(parts, lambda y: order[y], "train")


@fault(
    "four-in-ten-labels-random",
    "label-noise",
    "memorised-noise",
    "labels-inconsistent",
    "overfitting",
    on="mlp lenet bn-mlp",
    why="wrong labels; what is seen of them is a network that learns them by heart",
)
def four_in_ten_labels_random(parts: Parts) -> None:
    generator = draws(parts)
    count = len(parts.train[1])
    wrong = torch.rand(count, generator=generator) < 0.4
    classes = int(parts.train[1].max()) + 1
    other = torch.randint(0, classes, (count,), generator=generator)
    on_targets(parts, lambda y: torch.where(wrong, other, y), "train")
    parts.epochs *= 3


@fault(
    "labels-flipped-in-the-table",
    "label-noise",
    "memorised-noise",
    "overfitting",
    on="binary",
    why="wrong labels; what is seen of them is a network that learns them by heart",
)
def labels_flipped_in_the_table(parts: Parts) -> None:
    wrong = torch.rand(len(parts.train[1]), 1, generator=draws(parts)) < 0.35
    on_targets(parts, lambda y: torch.where(wrong, 1 - y, y), "train")
    parts.epochs *= 3


@fault("targets-in-thousands", "unscaled-target", on="regression")
def targets_in_thousands(parts: Parts) -> None:
    on_targets(parts, lambda y: 2000 * y + 5000)


@fault("one-target-a-thousand-times-larger", "unscaled-target", on="regression")
def one_target_larger(parts: Parts) -> None:
    """Three targets, of which one is in grams and two in tonnes."""
    size = torch.tensor([1.0, 1000.0, 1.0])
    on_targets(parts, lambda y: y * size)

    def score(output: Tensor, y: Tensor) -> float:
        left = (output - y).square().mean(0) / y.var(0)
        return float((1 - left).mean().clamp(-10, 1))

    parts.score = score


@fault(
    "targets-far-from-zero",
    "unscaled-target",
    "initial-loss-off",
    on="regression",
    why="an offset of 300 is a target that is not scaled, and shows in the first loss",
)
def targets_far_from_zero(parts: Parts) -> None:
    on_targets(parts, lambda y: y + 300)


@fault("six-rare-classes", "class-imbalance", on="mlp lenet bn-mlp")
def six_rare_classes(parts: Parts) -> None:
    """Four classes as they were, six of four images each; the test is balanced."""
    y = parts.train[1]
    place = torch.stack([(y[: i + 1] == y[i]).sum() for i in range(len(y))])
    keep = ((y < 4) | (place <= 4)).nonzero().squeeze(1)
    parts.train = rows(parts.train, keep)
    parts.epochs *= 2


@fault("one-in-fifty-positive", "class-imbalance", on="binary")
def one_in_fifty_positive(parts: Parts) -> None:
    y = parts.train[1]
    positive = (y[:, 0] > 0.5).nonzero().squeeze(1)
    negative = (y[:, 0] < 0.5).nonzero().squeeze(1)
    keep = torch.cat([negative, positive[: max(len(negative) // 50, 5)]])
    parts.train = rows(parts.train, keep)
