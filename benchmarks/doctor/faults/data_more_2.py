"""What is given to the loss is wrong: other slips, on other set-ups."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from setups import Parts, Training, validate
from torch import Tensor, nn

from faults import fault
from faults._surgery import draws, on_inputs, on_targets, rows, then
from faults.data_more import ByHand

# Output, loss, targets


@fault("shares-kept-from-zero", "softmax-before-cross-entropy", on="bn-mlp deep-tanh")
def shares_kept_from_zero(parts: Parts) -> None:
    """A softmax clamped so that no logarithm of 0 comes, and then the loss with its own softmax."""
    then(parts, ByHand(lambda z: F.softmax(z, -1).clamp(1e-7, 1)))


@fault("a-tanh-made-a-sigmoid", "sigmoid-before-bce-with-logits",
       "output-activation-mismatch", on="binary segmentation",
       why="values of 0 .. 1 are what a sigmoid gives")  # fmt: skip
def a_tanh_made_a_sigmoid(parts: Parts) -> None:
    then(parts, ByHand(lambda z: (torch.tanh(z) + 1) / 2))


@fault("relu-before-masks", "output-activation-mismatch", on="segmentation binary")
def relu_before_masks(parts: Parts) -> None:
    then(parts, nn.ReLU())


@fault("sigmoid-on-centred-targets", "output-activation-mismatch", on="regression")
def sigmoid_on_centred_targets(parts: Parts) -> None:
    then(parts, nn.Sigmoid())


@fault("mean-of-the-units-is-the-class", "loss-mismatch", on="mlp bn-mlp gru")
def mean_of_the_units_is_the_class(parts: Parts) -> None:
    parts.loss = lambda output, target: F.mse_loss(output.mean(1), target.float())


@fault("a-likelihood-of-sigmoids", "loss-mismatch", on="gru lenet")
def a_likelihood_of_sigmoids(parts: Parts) -> None:
    parts.loss = lambda output, target: F.nll_loss(torch.sigmoid(output), target)


@fault("overlap-made-small", "loss-sign", on="segmentation")
def overlap_made_small(parts: Parts) -> None:
    """The Dice coefficient itself, not one less it."""

    def dice(output: Tensor, target: Tensor) -> Tensor:
        said = torch.sigmoid(output)
        return 2 * (said * target).sum() / (said.sum() + target.sum() + 1)

    parts.loss = dice


@fault("likeness-made-smaller", "loss-sign", on="autoencoder")
def likeness_made_smaller(parts: Parts) -> None:
    parts.loss = lambda output, target: F.cosine_similarity(output, target).mean()


@fault("binary-loss-by-hand-across", "silent-broadcast", on="binary")
def binary_loss_by_hand_across(parts: Parts) -> None:
    """(N, 1) probabilities and (N,) labels."""

    def by_hand(output: Tensor, target: Tensor) -> Tensor:
        p, y = torch.sigmoid(output).clamp(1e-6, 1 - 1e-6), target[:, 0]
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    parts.loss = by_hand


@fault("a-head-forty-times-too-large", "initial-loss-off", "weights-too-large",
       on="gru transformer", why="a head so large is what the first loss shows")  # fmt: skip
def a_head_forty_times_too_large(parts: Parts) -> None:
    with torch.no_grad():
        parts.model.head.weight *= 40


@fault("four-kinds-numbered-anew", "labels-inconsistent", on="gru transformer")
def four_kinds_numbered_anew(parts: Parts) -> None:
    """Validation and use count the classes in another order."""
    order = torch.tensor([2, 0, 3, 1])
    on_targets(parts, lambda y: order[y], "val test")


@fault("a-third-of-answers-flipped", "label-noise", "memorised-noise", "overfitting",
       on="binary", why="what is learned by heart opens the gap of overfitting")  # fmt: skip
def a_third_of_answers_flipped(parts: Parts) -> None:
    which = torch.rand(len(parts.train[1]), 1, generator=draws(parts)) < 0.33
    on_targets(parts, lambda y: torch.where(which, 1 - y, y), "train")
    parts.epochs *= 2


@fault("labels-of-unsure-readers", "label-noise", "memorised-noise", "overfitting",
       on="bn-mlp deep-tanh transformer",
       why="what is learned by heart opens the gap of overfitting")  # fmt: skip
def labels_of_unsure_readers(parts: Parts) -> None:
    draw = draws(parts)
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        which = torch.rand(len(y), generator=draw) < 0.4
        other = torch.randint(0, int(y.max()) + 1, (len(y),), generator=draw)
        setattr(parts, name, (x, torch.where(which, other, y)))
    parts.epochs *= 2


@fault("targets-that-multiply", "unscaled-target", "exploding-gradients", "learning-rate-too-high",
       on="regression", why="the few huge targets make the steps too long")  # fmt: skip
def targets_that_multiply(parts: Parts) -> None:
    """Prices, of which nobody took the logarithm."""
    on_targets(parts, lambda y: torch.exp(3 * y) * 100)


@fault("two-waves-are-rare", "class-imbalance", on="gru")
def two_waves_are_rare(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        keep = (y < 2) | (torch.rand(len(y), generator=draws(parts)) < 0.03)
        setattr(parts, name, rows((x, y), keep))


@fault("one-token-hardly-wins", "class-imbalance", on="transformer")
def one_token_hardly_wins(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        keep = (y < 2) | (torch.rand(len(y), generator=draws(parts)) < 0.02)
        setattr(parts, name, rows((x, y), keep))
    parts.epochs = 4


# Data


@fault("waves-times-3000", "unscaled-input", on="gru")
def waves_times_3000(parts: Parts) -> None:
    on_inputs(parts, lambda x: 3000 * x)


@fault("raw-pixels-less-their-mean", "unscaled-input", on="deep-tanh lenet autoencoder")
def raw_pixels_less_their_mean(parts: Parts) -> None:
    on_inputs(parts, lambda x: 255 * (x - 0.3))


@fault("all-words-unknown", "constant-input", on="transformer")
def all_words_unknown(parts: Parts) -> None:
    """The vocabulary did not load: every token is number 0."""
    on_inputs(parts, torch.zeros_like)


@fault("masked-to-nothing", "constant-input", on="gru segmentation")
def masked_to_nothing(parts: Parts) -> None:
    on_inputs(parts, lambda x: x * (x.abs() > 100))


@fault("divided-by-zero-spread", "nonfinite-input", "nonfinite", on="binary regression",
       why="the first bad value is that of the input")  # fmt: skip
def divided_by_zero_spread(parts: Parts) -> None:
    """A column that never changes is standardised with the others."""

    def change(x: Tensor) -> Tensor:
        x = torch.cat([x[:, :-1], torch.ones(len(x), 1)], 1)
        return (x - x.mean(0)) / x.std(0)

    on_inputs(parts, change)


@fault("validation-in-raw-pixels", "inconsistent-preprocessing", "distribution-shift",
       on="lenet segmentation resnet", why="another scale is a shift of the inputs")  # fmt: skip
def validation_in_raw_pixels(parts: Parts) -> None:
    on_inputs(parts, lambda x: 255 * x, "val test")


@fault("another-vocabulary-later", "inconsistent-preprocessing", "distribution-shift",
       "labels-inconsistent", on="transformer",
       why="tokens that mean something else look like labels that do")  # fmt: skip
def another_vocabulary_later(parts: Parts) -> None:
    """The numbers of the tokens were made anew for validation and use."""
    order = torch.randperm(10, generator=draws(parts))
    on_inputs(parts, lambda x: order[x], "val test")


@fault("the-empty-masks-first", "unshuffled-data", on="segmentation")
def the_empty_masks_first(parts: Parts) -> None:
    order = parts.train[1].flatten(1).mean(1).argsort()
    parts.train = rows(parts.train, order)
    parts.shuffle = False


@fault("the-well-first", "unshuffled-data", on="binary resnet bn-mlp")
def the_well_first(parts: Parts) -> None:
    order = parts.train[1].reshape(len(parts.train[1])).argsort(stable=True)
    parts.train = rows(parts.train, order)
    parts.shuffle = False


def first_two(training: Training) -> None:
    """A loop left from debugging: two batches an epoch, and always the first two."""
    parts, model, optimizer = training.parts, training.model, training.optimizer
    for _ in range(10 * parts.epochs):
        model.train()
        for x, y in itertools.islice(training.train, 2):
            optimizer.zero_grad()
            parts.loss(model(x), y).backward()
            optimizer.step()
        validate(training)


@fault("two-batches-from-debugging", "stuck-data-feed", "overfitting", on="gru regression",
       why="a network that sees two batches learns them by heart")  # fmt: skip
def two_batches_from_debugging(parts: Parts) -> None:
    parts.shuffle = False
    parts.loop = first_two
    parts.schedule = None


@fault("judged-on-what-was-learned", "split-leakage", on="regression mlp", hurts="honesty")
def judged_on_what_was_learned(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(150))
    parts.val = rows(parts.train, torch.randperm(150, generator=draws(parts)))
    parts.epochs = 100
    parts.schedule = None


@fault("a-hundred-images-copied", "duplicate-samples", "overfitting", "too-much-capacity",
       on="lenet deep-tanh", why="so few images are learned by heart")  # fmt: skip
def a_hundred_images_copied(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(len(parts.train[0])) % 90)


@fault("only-the-bold-digits", "distribution-shift", "inconsistent-preprocessing", on="mlp lenet",
       why="bolder strokes are another distribution of every pixel")  # fmt: skip
def only_the_bold_digits(parts: Parts) -> None:
    ink = parts.train[0].flatten(1).mean(1)
    parts.train = rows(parts.train, ink > ink.quantile(0.75))
    parts.epochs *= 4


@fault("only-above-the-limit", "distribution-shift", on="binary regression")
def only_above_the_limit(parts: Parts) -> None:
    """Nobody below the limit was asked."""
    parts.train = rows(parts.train, parts.train[0][:, 2 % parts.train[0].shape[1]] > 0.5)


class Reshaped(nn.Module):
    """Rows that were meant to be transposed, read on as they lie."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.t().reshape(len(x), -1))


@fault("reshaped-in-place-of-transposed", "batch-mixing", on="regression binary")
def reshaped_in_place_of_transposed(parts: Parts) -> None:
    parts.model = Reshaped(parts.model)


@fault("unit-length-along-the-batch", "batch-mixing", "wrong-dimension", on="lenet autoencoder",
       why="a norm along the batch is a wrong axis")  # fmt: skip
def unit_length_along_the_batch(parts: Parts) -> None:
    inner = parts.model
    parts.model = nn.Sequential(
        ByHand(lambda x: F.normalize(x - x.mean(0, keepdim=True), dim=0)), inner
    )


@fault("mixed-with-another-label-kept", "destructive-augmentation", on="mlp lenet gru")
def mixed_with_another_label_kept(parts: Parts) -> None:
    """Images laid over one another, of which the label names the fainter one."""
    parts.augment = lambda x: 0.4 * x + 0.6 * x[torch.randperm(len(x))]


@fault("drowned-in-noise", "destructive-augmentation", on="bn-mlp gru lenet")
def drowned_in_noise(parts: Parts) -> None:
    parts.augment = lambda x: x + 4 * x.std() * torch.randn_like(x)


@fault("image-flipped-mask-not", "destructive-augmentation", "labels-inconsistent",
       on="segmentation",
       why="masks that do not lie on their images are labels of others")  # fmt: skip
def image_flipped_mask_not(parts: Parts) -> None:
    parts.augment = lambda x: x.flip(-1)


@fault("a-column-of-answers", "shortcut", "distribution-shift", on="binary",
       why="a column that is filled in training alone is a shift as well")  # fmt: skip
def a_column_of_answers(parts: Parts) -> None:
    """A column that is known only after the fact; in use it is empty."""
    for name in ("train", "val", "test"):
        x, y = getattr(parts, name)
        filled = 4 * y - 2 + 0.1 * torch.randn(len(y), 1, generator=draws(parts))
        x = torch.cat([x[:, :-1], filled if name != "test" else torch.zeros_like(filled)], 1)
        setattr(parts, name, (x, y))
