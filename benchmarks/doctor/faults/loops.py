"""Faults of the loop: what is done with loss, gradients, modes and steps."""

from __future__ import annotations

import copy
import time

import torch
from setups import Parts, Training, validate
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from faults import fault
from faults._surgery import on_inputs, rows, swap, weighted


@fault("no-zero-grad", "gradients-never-cleared", on="mlp lenet gru regression")
def no_zero_grad(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault("zero-grad-once-an-epoch", "gradients-never-cleared", on="deep-tanh binary autoencoder")
def zero_grad_once_an_epoch(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            optimizer.zero_grad()
            for x, y in training.train:
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault(
    "no-step",
    "optimizer-never-steps",
    "weights-do-not-change",
    on="mlp lenet regression",
    why="without a step no weight changes",
)
def no_step(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
            validate(training)

    parts.loop = loop


@fault(
    "zero-grad-before-the-step",
    "weights-do-not-change",
    "optimizer-never-steps",
    on="mlp transformer",
    why="the step finds no gradient: it changes nothing, as if it had not been taken",
)
def zero_grad_before_the_step(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.zero_grad()
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault(
    "optimizer-of-another-copy",
    "stale-optimizer",
    "weights-do-not-change",
    on="mlp gru regression",
    why="the weights that are trained are not the model's, which do not change",
)
def optimizer_of_another_copy(parts: Parts) -> None:
    make = parts.optimizer
    old = copy.deepcopy(parts.model)
    parts.optimizer = lambda _, rate: make(old.parameters(), rate)


@fault("head-replaced-after-the-optimizer", "stale-optimizer", on="transformer regression lenet")
def head_replaced(parts: Parts) -> None:
    """A new head, and the body frozen for it: the optimizer holds the old one."""

    def wired(training: Training) -> None:
        model = training.model
        name = "head" if hasattr(model, "head") else str(len(model) - 1)
        old = model.get_submodule(name)
        setattr(model, name, nn.Linear(old.in_features, old.out_features))
        with torch.no_grad():
            for each in weighted(model)[:-1]:
                each.weight.copy_(torch.randn(each.weight.shape) * 0.02)

    parts.wired = wired


@fault(
    "optimizer-of-the-head-alone",
    "stale-optimizer",
    "frozen-parameters",
    on="regression deep-tanh binary",
    why="trainable and held by no optimizer: forgotten, or frozen by the way it is written",
)
def optimizer_of_the_head_alone(parts: Parts) -> None:
    make = parts.optimizer
    head = weighted(parts.model)[-1]
    parts.optimizer = lambda _, rate: make(head.parameters(), rate)


@fault("trained-in-evaluation-mode", "wrong-mode", on="bn-mlp resnet")
def trained_in_evaluation_mode(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        model.eval()
        for _ in range(parts.epochs):
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
                if training.schedule is not None:
                    training.schedule.step()
            validate(training)

    on_inputs(parts, lambda x: 30 * x + 20)
    parts.loop = loop


@fault("left-in-evaluation-mode", "wrong-mode", on="bn-mlp resnet")
def left_in_evaluation_mode(parts: Parts) -> None:
    """`model.train()` stands before the epochs, and validation puts the model in eval mode."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        model.train()
        for _ in range(parts.epochs):
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
                if training.schedule is not None:
                    training.schedule.step()
            validate(training)

    parts.loop = loop
    parts.train = rows(parts.train, torch.arange(250))
    swap(parts.model, nn.Dropout, lambda _: nn.Dropout(0.6))


@fault("validated-in-training-mode", "wrong-mode", on="bn-mlp binary", hurts="honesty")
def validated_in_training_mode(parts: Parts) -> None:
    swap(parts.model, nn.Dropout, lambda _: nn.Dropout(0.5))
    right = parts.right
    assert right is not None

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
                if training.schedule is not None:
                    training.schedule.step()
            count = 0
            with torch.no_grad():
                for x, y in training.val:
                    output = model(x)
                    parts.loss(output, y)
                    count += int(right(output, y))
            training.reported.append(count / len(parts.val[1]))

    parts.loop = loop


@fault("two-steps-a-batch", "double-backward-or-step", on="gru deep-tanh mlp")
def two_steps_a_batch(parts: Parts) -> None:
    """The trainer steps, and so does the callback; at a rate that has no room left."""
    parts.rate *= 4

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault("two-backwards-a-batch", "double-backward-or-step", on="deep-tanh mlp resnet")
def two_backwards_a_batch(parts: Parts) -> None:
    """Four backward passes on one loss: the gradient is four times what it should be."""
    parts.rate *= 3

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                for _ in range(3):
                    loss.backward(retain_graph=True)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault("answers-along-the-wrong-axis", "metric-misread", on="mlp lenet", hurts="honesty")
def answers_along_the_wrong_axis(parts: Parts) -> None:
    """Ten classes and validation batches of ten: the argmax over the batch fits in shape."""
    parts.right = lambda output, y: (output.argmax(0) == y).sum()
    parts.val = rows(parts.val, torch.arange(290))

    def wired(training: Training) -> None:
        training.val = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(*parts.val), batch_size=10
        )

    parts.wired = wired


@fault("mean-of-unequal-batches", "metric-misread", on="mlp binary", hurts="honesty")
def mean_of_unequal_batches(parts: Parts) -> None:
    """The last batch has a few hard samples and counts as much as the first."""
    healthy = parts.right
    assert healthy is not None
    parts.val = rows(parts.val, torch.arange(260))
    parts.val[1][256:] = (parts.val[1][256:] + 1) % 2

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                parts.loss(model(x), y).backward()
                optimizer.step()
            model.eval()
            shares = []
            with torch.no_grad():
                for x, y in training.val:
                    output = model(x)
                    parts.loss(output, y)
                    shares.append(int(healthy(output, y)) / len(y))
            training.reported.append(sum(shares) / len(shares))

    parts.loop = loop


@fault(
    "resumed-from-an-old-checkpoint",
    "nondeterministic-restart",
    "loss-spike",
    on="mlp lenet transformer",
    why="after the restart the loss jumps to where it was in the first epoch",
)
def resumed_from_an_old_checkpoint(parts: Parts) -> None:
    """The file that is read back is that of the beginning; the schedule goes on where it was."""
    begin = copy.deepcopy(parts.model.state_dict())
    parts.schedule = lambda optimizer, epochs, steps: torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: 1.0 if epoch < epochs * 3 // 4 else 0.003
    )
    parts.schedule_every = "epoch"

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for epoch in range(parts.epochs):
            if epoch == parts.epochs * 3 // 4:
                model.load_state_dict(begin)
                optimizer.load_state_dict(
                    {**optimizer.state_dict(), "state": {}},
                )
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                parts.loss(model(x), y).backward()
                optimizer.step()
            training.schedule.step()
            validate(training)

    parts.loop = loop


@fault("a-slow-reader", "data-starvation", on="mlp deep-relu", hurts="seconds")
def a_slow_reader(parts: Parts) -> None:
    """Decoding 12 ms a batch in the loop's own process."""
    parts.epochs = 6

    class Slow(torch.utils.data.TensorDataset):
        def __getitem__(self, index: int) -> tuple[Tensor, ...]:
            if index % 8 == 0:
                time.sleep(0.0015)
            return super().__getitem__(index)

    def wired(training: Training) -> None:
        training.train = torch.utils.data.DataLoader(
            Slow(*parts.train), batch_size=parts.batch, shuffle=True
        )

    parts.wired = wired


@fault("losses-kept-with-their-graph", "memory-growth", on="segmentation lenet", hurts="memory")
def losses_kept_with_their_graph(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward(retain_graph=True)
                optimizer.step()
                training.kept.append(loss)
            validate(training)

    parts.loop = loop


@fault("outputs-kept-for-a-plot", "memory-growth", on="segmentation resnet", hurts="memory")
def outputs_kept_for_a_plot(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                output = model(x)
                loss = parts.loss(output, y)
                training.kept.append(loss + output.sum() * 0)
                loss.backward(retain_graph=True)
                optimizer.step()
            validate(training)

    parts.loop = loop


@fault(
    "a-loss-scale-that-always-overflows",
    "mixed-precision-trouble",
    "optimizer-never-steps",
    "weights-do-not-change",
    on="mlp regression",
    why="each step is skipped because the scaled gradient overflows",
)
def a_loss_scale_that_always_overflows(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        scaler = torch.amp.GradScaler(
            "cpu", init_scale=2.0**100, backoff_factor=0.99, growth_interval=10
        )
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    output = model(x)
                loss = parts.loss(output.float() * 1e6, y).float()
                scaler.scale(loss * 1e6).backward()
                scaler.step(optimizer)
                scaler.update()
            validate(training)

    parts.loop = loop


@fault(
    "gradients-clipped-after-the-step",
    "exploding-gradients",
    "learning-rate-too-high",
    "divergence",
    "nonfinite",
    on="gru deep-relu",
    why="the clip comes too late, so that a rate made for clipped gradients is too high",
)
def clipped_after_the_step(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: torch.optim.SGD(weights, lr=0.5, momentum=0.9)
    on_inputs(parts, lambda x: 6 * x)

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                parts.loss(model(x), y).backward()
                optimizer.step()
                clip_grad_norm_(model.parameters(), 0.1)
            validate(training)

    parts.loop = loop


@fault(
    "labels-kept-from-the-last-batch",
    "labels-inconsistent",
    "label-noise",
    on="lenet gru",
    why="each batch is judged by the labels of the one before: they are noise to it",
)
def labels_kept_from_the_last_batch(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            before: Tensor | None = None
            for x, y in training.train:
                optimizer.zero_grad()
                wrong = y if before is None or len(before) != len(y) else before
                parts.loss(model(x), wrong).backward()
                optimizer.step()
                before = y
            validate(training)

    parts.loop = loop
