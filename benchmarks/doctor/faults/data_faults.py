"""Faults of the data and how it is fed."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from setups import Parts, Training, validate
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from faults import fault
from faults._surgery import draws, on_inputs, on_targets, rows, then
from networks import Recurrent


@fault("pixels-times-255", "unscaled-input", on="mlp deep-relu deep-tanh autoencoder")
def pixels_times_255(parts: Parts) -> None:
    on_inputs(parts, lambda x: 255 * x)


@fault("features-of-very-different-size", "unscaled-input", on="regression binary")
def features_of_very_different_size(parts: Parts) -> None:
    size = 10 ** torch.linspace(-3, 3, parts.train[0].shape[1])
    on_inputs(parts, lambda x: x * size)


@fault("features-far-from-zero", "unscaled-input", on="regression binary gru")
def features_far_from_zero(parts: Parts) -> None:
    on_inputs(parts, lambda x: x + 200)


@fault("tiny-inputs", "unscaled-input", on="mlp lenet gru regression")
def tiny_inputs(parts: Parts) -> None:
    on_inputs(parts, lambda x: 1e-4 * x)


@fault("all-images-black", "constant-input", on="mlp lenet")
def all_images_black(parts: Parts) -> None:
    """The reader divides integers: everything under 255 becomes 0."""
    on_inputs(parts, lambda x: (255 * x).long().div(256, rounding_mode="floor").float())


@fault("every-image-the-same", "constant-input", on="resnet")
def every_image_the_same(parts: Parts) -> None:
    on_inputs(parts, lambda x: x[:1].expand_as(x).clone())


@fault(
    "features-of-zero",
    "dead-feature",
    "constant-input",
    on="regression binary",
    why="a feature that is always 0 is a dead one and a constant one",
)
def features_of_zero(parts: Parts) -> None:
    """A join failed: half of the columns were filled with 0."""

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, ::2] = 0
        return x

    on_inputs(parts, change)


@fault(
    "a-sample-of-nan",
    "nonfinite-input",
    "nonfinite",
    on="mlp regression lenet gru",
    why="the first bad value is in the input: both may point there",
)
def a_sample_of_nan(parts: Parts) -> None:
    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[len(x) // 2].flatten()[3] = float("nan")
        return x

    on_inputs(parts, change, "train")


@fault(
    "an-infinite-feature",
    "nonfinite-input",
    "nonfinite",
    on="binary regression",
    why="the first bad value is in the input: both may point there",
)
def an_infinite_feature(parts: Parts) -> None:
    """The logarithm of a count of zero."""

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[::400, 2] = float("-inf")
        return x

    on_inputs(parts, change, "train")


@fault(
    "validation-inverted",
    "inconsistent-preprocessing",
    "distribution-shift",
    on="mlp lenet resnet",
    why="another transform is a shift of the distribution",
)
def validation_inverted(parts: Parts) -> None:
    on_inputs(parts, lambda x: 1 - x, "val test")


@fault(
    "validation-in-bytes",
    "inconsistent-preprocessing",
    "distribution-shift",
    on="bn-mlp deep-tanh autoencoder",
    why="another transform is a shift of the distribution",
)
def validation_in_bytes(parts: Parts) -> None:
    on_inputs(parts, lambda x: 255 * x, "val test")


@fault(
    "validation-not-standardised",
    "inconsistent-preprocessing",
    "distribution-shift",
    on="mlp regression binary",
    why="another transform is a shift of the distribution",
)
def validation_not_standardised(parts: Parts) -> None:
    on_inputs(parts, lambda x: 3 * x + 4, "val test")


@fault(
    "validation-transposed",
    "inconsistent-preprocessing",
    "distribution-shift",
    on="lenet resnet",
    why="another transform is a shift of the distribution",
)
def validation_transposed(parts: Parts) -> None:
    on_inputs(parts, lambda x: x.transpose(2, 3).contiguous(), "val test")


@fault(
    "channels-in-another-order",
    "inconsistent-preprocessing",
    "distribution-shift",
    on="regression gru",
    why="columns in another order are another distribution",
)
def channels_in_another_order(parts: Parts) -> None:
    on_inputs(parts, lambda x: x.flip(-1).contiguous(), "val test")


@fault(
    "other-camera-in-validation",
    "distribution-shift",
    "inconsistent-preprocessing",
    on="mlp lenet",
    why="shifted and darker images look like another transform",
)
def other_camera_in_validation(parts: Parts) -> None:
    on_inputs(parts, lambda x: 0.5 * torch.roll(x, (2, 1), (2, 3)) + 0.2, "val test")


@fault(
    "half-of-the-classes-unseen",
    "distribution-shift",
    "class-imbalance",
    on="mlp lenet gru",
    why="classes that only validation has: the labels shift, and training lacks them",
)
def half_of_the_classes_unseen(parts: Parts) -> None:
    keep = (parts.train[1] < (int(parts.train[1].max()) + 1) // 2).nonzero().squeeze(1)
    parts.train = rows(parts.train, keep)


@fault("sorted-and-not-shuffled", "unshuffled-data", on="mlp lenet resnet gru")
def sorted_and_not_shuffled(parts: Parts) -> None:
    parts.train = rows(parts.train, parts.train[1].argsort(stable=True))
    parts.shuffle = False


@fault("two-halves-and-not-shuffled", "unshuffled-data", on="binary transformer")
def two_halves_and_not_shuffled(parts: Parts) -> None:
    order = parts.train[1].flatten().argsort(stable=True)
    parts.train = rows(parts.train, order)
    parts.shuffle = False


@fault("always-the-first-batch", "stuck-data-feed", on="mlp lenet regression")
def always_the_first_batch(parts: Parts) -> None:
    """`next(iter(loader))` in each step, of a loader that does not shuffle."""
    parts.shuffle = False

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for _ in range(len(training.train)):
                x, y = next(iter(training.train))
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault("an-iterator-that-is-used-up", "stuck-data-feed", on="mlp binary")
def an_iterator_that_is_used_up(parts: Parts) -> None:
    """Four batches cycled for ever, since somebody wrote them into a list to go faster."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        few = list(itertools.islice(training.train, 4))
        for _ in range(parts.epochs):
            model.train()
            for _, (x, y) in zip(range(len(training.train)), itertools.cycle(few), strict=False):
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault(
    "every-batch-dropped",
    "stuck-data-feed",
    "optimizer-never-steps",
    on="mlp gru",
    why="no batch comes, so no step is taken",
)
def every_batch_dropped(parts: Parts) -> None:
    def wired(training: Training) -> None:
        training.train = DataLoader(
            TensorDataset(*parts.train), batch_size=4096, shuffle=True, drop_last=True
        )

    parts.wired = wired


@fault(
    "validation-rows-in-training",
    "split-leakage",
    "duplicate-samples",
    on="mlp regression",
    hurts="honesty",
    why="what leaks are the same samples",
)
def validation_rows_in_training(parts: Parts) -> None:
    """The table was split after the rows had been doubled; few rows, noisy targets."""
    _few_and_noisy(parts)
    parts.val = tuple(each.clone() for each in parts.train)


@fault("near-copies-in-training", "split-leakage", on="mlp regression", hurts="honesty")
def near_copies_in_training(parts: Parts) -> None:
    """Frames of one film on both sides of the split."""
    _few_and_noisy(parts)
    x, y = parts.train
    parts.val = (x + 0.01 * torch.randn(x.shape, generator=draws(parts)), y.clone())


def _few_and_noisy(parts: Parts) -> None:
    generator = draws(parts)
    parts.train = rows(parts.train, torch.arange(200))
    x, y = parts.train
    if y.is_floating_point():
        parts.train = (x, y + 0.8 * torch.randn(y.shape, generator=generator))
    else:
        parts.train = (x + 0.5 * torch.randn(x.shape, generator=generator), y)
        on_inputs(parts, lambda x: x + 0.5 * torch.randn(x.shape, generator=generator), "val test")
    parts.epochs *= 4


@fault(
    "sixty-samples-copied-over",
    "duplicate-samples",
    "overfitting",
    "too-much-capacity",
    on="mlp lenet regression",
    why="a thousand rows that are sixty: the rest is what follows of it",
)
def sixty_samples_copied_over(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(len(parts.train[0])) % 60)


@fault("batch-first-forgotten", "batch-mixing", on="gru transformer")
def batch_first_forgotten(parts: Parts) -> None:
    """A recurrent cell or an encoder that takes (T, N, ...) is given (N, T, ...)."""
    if isinstance(parts.model, Recurrent):
        parts.model.cell.batch_first = False
    else:
        parts.model.encoder.self_attn.batch_first = False


@fault("view-instead-of-transpose", "batch-mixing", on="mlp autoencoder bn-mlp")
def view_instead_of_transpose(parts: Parts) -> None:
    """(N, P) read as (P, N) and turned round: each row has pixels of many images."""

    class Mixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).reshape(-1, len(x)).T.contiguous()

    parts.model = nn.Sequential(Mixed(), parts.model)


@fault(
    "statistics-of-the-batch-in-the-model",
    "batch-mixing",
    "wrong-dimension",
    on="mlp lenet",
    why="a softmax over the batch mixes it along the wrong axis",
)
def softmax_over_the_batch_inside(parts: Parts) -> None:
    then(parts, nn.LogSoftmax(0))


@fault("noise-drowns-the-image", "destructive-augmentation", on="mlp lenet")
def noise_drowns_the_image(parts: Parts) -> None:
    parts.augment = lambda x: x + 3.0 * torch.randn_like(x)


@fault("crops-of-a-corner", "destructive-augmentation", on="lenet resnet mlp")
def crops_of_a_corner(parts: Parts) -> None:
    """A random quarter of the image, blown up to its size: a digit is not to be told from it."""

    def augment(x: Tensor) -> Tensor:
        top, left = torch.randint(0, 6, (2,)).tolist()
        return F.interpolate(x[..., top : top + 3, left : left + 3], size=x.shape[2:])

    parts.augment = augment


@fault("nine-tenths-erased", "destructive-augmentation", on="mlp resnet")
def nine_tenths_erased(parts: Parts) -> None:
    parts.augment = lambda x: x * (torch.rand_like(x) > 0.93)


@fault(
    "a-pixel-tells-the-label",
    "shortcut",
    "distribution-shift",
    on="mlp lenet deep-relu",
    why="training and validation have a mark that the world has not",
)
def a_pixel_tells_the_label(parts: Parts) -> None:
    """The corner of each image is marked with its class, in training and validation alike."""
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        x = x.clone()
        x[:, 0, 0, 0] = (y.float() - 4.5) * 2
        setattr(parts, name, (x, y))


@fault("a-column-gives-it-away", "shortcut", on="binary")
def a_column_gives_it_away(parts: Parts) -> None:
    """A column that was filled in after the outcome was known."""
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        x = x.clone()
        x[:, 11] = 4 * y[:, 0] - 2
        setattr(parts, name, (x, y))


@fault(
    "labels-from-the-row-above",
    "labels-inconsistent",
    "label-noise",
    "memorised-noise",
    on="gru deep-relu",
    why="off by one row, labels have nothing to do with inputs",
)
def labels_from_the_row_above(parts: Parts) -> None:
    on_targets(parts, lambda y: y.roll(1, 0), "train")
