"""Keras's `fit` as a contender, on TensorFlow (a graph, compiled by XLA or not) or on JAX.

Words: `jit=true|false`, `together=N` steps in one call (`steps_per_execution`), `precision=bf16`.
The backend is told by KERAS_BACKEND.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import keras_networks
from speed_setups import Clock, Job, read_arrays, shuffled


class Ticks(keras.callbacks.Callback):
    """Tells the clock of each step, and of each evaluation."""

    def __init__(self, clock: Clock, epoch: int) -> None:
        super().__init__()
        self.clock = clock
        self.epoch = epoch
        self.before = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self.before + batch + 1
        self.clock.tick(step)
        if self.clock.last <= step:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.before += self.epoch
        self.clock.evaluated(float(logs["val_accuracy"]))


def run(job: Job) -> dict[str, Any]:
    """Train by `fit`, evaluating after each epoch."""
    words = dict(word.split("=") for word in job.words)
    setup = job.setup
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    if words.get("precision") == "bf16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = keras_networks.build(setup.model, setup.shape, job.seed)
    rate = keras.optimizers.schedules.CosineDecay(job.lr, job.clock.last) if job.decays else job.lr
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=setup.momentum),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=words["jit"] == "true",
        steps_per_execution=int(words.get("together", 1)),
    )
    train, val = read_arrays(setup, channels_last=True)
    epochs = -(-job.clock.last // job.epoch)
    history = model.fit(
        batches(*train, job),
        steps_per_epoch=job.epoch,
        epochs=epochs,
        validation_data=val,
        validation_batch_size=500 if setup.key == "lenet5" else setup.batch,
        verbose=0,
        callbacks=[
            Ticks(job.clock, job.epoch),
            keras.callbacks.CSVLogger(str(job.folder / "log.csv")),
        ],
    )
    losses = history.history["loss"]
    return {
        "params": sum(int(np.prod(each.shape)) for each in model.trainable_weights),
        "loss": float(losses[-1]),
        "versions": {"keras": keras.__version__, keras.backend.backend(): backend_version()},
    }


def batches(images: np.ndarray, labels: np.ndarray, job: Job) -> Any:
    """Shuffled batches without end: with TensorFlow a data set of its own that gathers from
    tensors and prefetches, with JAX a generator of arrays."""
    count = job.epoch * job.setup.batch
    images, labels = images[:count], labels[:count]
    if keras.backend.backend() != "tensorflow":
        return (
            (images[index], labels[index]) for index in shuffled(count, job.setup.batch, job.seed)
        )
    import tensorflow as tf

    pixels, target = tf.constant(images), tf.constant(labels)
    orders = tf.data.Dataset.range(count).shuffle(count, seed=job.seed).repeat()
    return (
        orders.batch(job.setup.batch, drop_remainder=True)
        .map(lambda index: (tf.gather(pixels, index), tf.gather(target, index)))
        .prefetch(2)
    )


def backend_version() -> str:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return str(tf.__version__)
    import jax

    return str(jax.__version__)
