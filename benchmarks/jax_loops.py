"""Plain JAX as a contender: networks by hand, a compiled train step, optax.

Channels last, parameters and state of the norms donated to each step. Word: `together=N` takes N
steps in one call by `lax.scan`.
"""

from __future__ import annotations

import csv
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from speed_setups import LOG_EVERY, Job, read_arrays, shuffled

MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
             (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip


class Layers:
    """Gives each layer its weights by the order of the calls, and draws them at the first pass."""

    def __init__(
        self, key: Any, weights: list[Any] | None, norms: list[Any] | None, training: bool
    ) -> None:
        self.key = key
        self.drawn = weights is None
        self.weights = [] if weights is None else weights
        self.norms = [] if norms is None else norms
        self.after: list[Any] = []
        self.at = 0
        self.training = training

    def _weight(self, *shape: int, fan_in: int, scale: float = 2.0) -> Any:
        if self.drawn:
            self.key, key = jax.random.split(self.key)
            self.weights.append(jax.random.normal(key, shape) * (scale / fan_in) ** 0.5)
        self.at += 1
        return self.weights[self.at - 1]

    def _plain(self, size: int, value: float) -> Any:
        if self.drawn:
            self.weights.append(jnp.full(size, value))
        self.at += 1
        return self.weights[self.at - 1]

    def conv(
        self, x: Any, out: int, side: int, stride: int = 1, padding: Any = None, groups: int = 1
    ) -> Any:
        reads = x.shape[-1] // groups
        half = side // 2 if padding is None else padding
        return lax.conv_general_dilated(
            x,
            self._weight(side, side, reads, out, fan_in=side * side * reads),
            (stride, stride),
            ((half, half), (half, half)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    def bias(self, x: Any) -> Any:
        return x + self._plain(x.shape[-1], 0.0)

    def dense(self, x: Any, out: int, scale: float = 2.0) -> Any:
        return self.bias(x @ self._weight(x.shape[-1], out, fan_in=x.shape[-1], scale=scale))

    def norm(self, x: Any) -> Any:
        size = x.shape[-1]
        scale, shift = self._plain(size, 1.0), self._plain(size, 0.0)
        place = len(self.after)
        if self.drawn:
            self.norms.append((jnp.zeros(size), jnp.ones(size)))
        mean, var = self.norms[place]
        if self.training:
            now = x.mean((0, 1, 2))
            square = jnp.maximum((x * x).mean((0, 1, 2)) - now * now, 0)
            count = x.size // size
            self.after.append(
                (0.9 * mean + 0.1 * now, 0.9 * var + 0.1 * square * count / (count - 1))
            )
            mean, var = now, square
        else:
            self.after.append((mean, var))
        factor = scale * lax.rsqrt(var + 1e-5)
        return x * factor + (shift - mean * factor)


def lenet5(net: Layers, x: Any) -> Any:
    x = jax.nn.relu(max_pool(net.bias(net.conv(x, 6, 5))))
    x = jax.nn.relu(max_pool(net.bias(net.conv(x, 16, 5, padding=0))))
    x = jax.nn.relu(net.dense(x.reshape(len(x), -1), 120))
    return net.dense(jax.nn.relu(net.dense(x, 84)), 10, scale=1.0)


def resnet20(net: Layers, x: Any) -> Any:
    x = jax.nn.relu(net.norm(net.conv(x, 16, 3)))
    for stage, channels in enumerate((16, 32, 64)):
        for place in range(3):
            stride = 2 if stage and not place else 1
            y = jax.nn.relu(net.norm(net.conv(x, channels, 3, stride)))
            y = net.norm(net.conv(y, channels, 3))
            if stride == 2:  # option A: every second pixel, and maps of zeros
                extra = channels // 4
                pads = ((0, 0), (0, 0), (0, 0), (extra, channels // 2 - extra))
                x = jnp.pad(x[:, ::2, ::2, :], pads)
            x = jax.nn.relu(y + x)
    return net.dense(x.mean((1, 2)), 10, scale=1.0)


def mobilenet_v2(net: Layers, x: Any) -> Any:
    x = jax.nn.relu6(net.norm(net.conv(x, 32, 3, 2)))
    for expansion, out, repeats, first in MOBILENET:
        for place in range(repeats):
            stride = first if place == 0 else 1
            channels = x.shape[-1]
            y = x
            if expansion > 1:
                y = jax.nn.relu6(net.norm(net.conv(y, channels * expansion, 1)))
            y = net.conv(y, y.shape[-1], 3, stride, groups=y.shape[-1])
            y = net.norm(net.conv(jax.nn.relu6(net.norm(y)), out, 1))
            x = x + y if stride == 1 and channels == out else y
    x = jax.nn.relu6(net.norm(net.conv(x, 1280, 1))).mean((1, 2))
    if net.training:
        net.key, key = jax.random.split(net.key)
        x = jnp.where(jax.random.bernoulli(key, 0.8, x.shape), x / 0.8, 0)
    return net.dense(x, 10, scale=1.0)


def max_pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


NETWORKS = {"lenet5": lenet5, "resnet20": resnet20, "mobilenet_v2": mobilenet_v2}


def run(job: Job) -> dict[str, Any]:
    """Train, evaluating after each epoch."""
    setup = job.setup
    words = dict(word.split("=") for word in job.words)
    together = int(words.get("together", 1))
    network = NETWORKS[setup.model]
    train, val = read_arrays(setup, channels_last=True)
    count = job.epoch * setup.batch
    images, labels = jnp.asarray(train[0][:count]), jnp.asarray(train[1][:count])
    rate = optax.cosine_decay_schedule(job.lr, job.clock.last) if job.decays else job.lr
    optimizer = optax.sgd(rate, momentum=setup.momentum)

    net = Layers(jax.random.key(job.seed), None, None, training=False)
    network(net, images[:1])
    weights, norms = net.weights, net.norms
    memory = optimizer.init(weights)

    def loss_of(weights: Any, norms: Any, key: Any, x: Any, target: Any) -> Any:
        net = Layers(key, weights, norms, training=True)
        logits = network(net, x)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, target).mean()
        return loss, net.after

    def one(state: Any, index: Any, images: Any, labels: Any) -> Any:
        weights, norms, memory, key = state
        key, own = jax.random.split(key)
        (loss, norms), gradient = jax.value_and_grad(loss_of, has_aux=True)(
            weights, norms, own, images[index], labels[index]
        )
        update, memory = optimizer.update(gradient, memory, weights)
        return (optax.apply_updates(weights, update), norms, memory, key), loss

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Any, index: Any, images: Any, labels: Any) -> Any:
        if together == 1:
            return one(state, index[0], images, labels)
        state, losses = lax.scan(lambda s, i: one(s, i, images, labels), state, index)
        return state, losses[-1]

    @jax.jit
    def hits_of(weights: Any, norms: Any, x: Any, target: Any) -> Any:
        logits = network(Layers(None, weights, norms, training=False), x)
        return (logits.argmax(1) == target).sum()

    def accuracy(state: Any) -> float:
        size = min(500, len(val[0])) if setup.key == "lenet5" else min(setup.batch, len(val[0]))
        hits = 0
        for at in range(0, len(val[0]), size):
            part = slice(at, at + size)
            hits += int(hits_of(state[0], state[1], val[0][part], val[1][part]))
        return hits / len(val[0])

    params = sum(each.size for each in weights)
    state = (weights, norms, memory, jax.random.key(job.seed + 1))
    orders = shuffled(count, setup.batch, job.seed)
    done, loss = 0, jnp.zeros(())
    with (job.folder / "log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        while done < job.clock.last:
            size = min(together, job.epoch - done % job.epoch)
            index = np.stack([next(orders) for _ in range(size)])
            state, loss = step(state, index, images, labels)
            before, done = done, done + size
            if job.clock.due(done):
                loss.block_until_ready()
            job.clock.tick(done)
            if done // LOG_EVERY > before // LOG_EVERY:
                log.writerow([done, float(loss)])
            if done % job.epoch == 0:
                job.clock.evaluated(accuracy(state))
        job.clock.last_accuracy = accuracy(state)
    return {
        "params": params,
        "loss": float(loss),
        "versions": {"jax": jax.__version__, "optax": optax.__version__},
    }
