"""`nw.HFDoctor`: the doctor as a callback of the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from typing import Any

from netwright.core.extras import refuse_absent_extra
from netwright.doctor.frameworks.calls import OnStop, Told, Visits

refuse_absent_extra("hf", "transformers", "nw.HFDoctor")
refuse_absent_extra("hf", "accelerate", "nw.HFDoctor")  # its Trainer does not run without

from transformers import TrainerCallback  # noqa: E402


class HFDoctor(Told, TrainerCallback):  # type: ignore[misc]  # transformers is not read by mypy
    """Watches what a `transformers.Trainer` trains, as `nw.watch` does with a loop.

    It is needed where the optimizer is made by the trainer, so that nobody could hand it over
    before. The watch begins with `train` and ends with it; the training computes the same bits. A
    training that ends by an error tells no callback: `close` ends the watch then, and so does the
    next training. The options are those of `nw.watch`; with `on_stop="raise"` a finding of severity
    `stop` ends `train` by a `nw.FindingError`.

    Needs the extra `netwright[hf]`.

    >>> from transformers import Trainer
    >>> doctor = HFDoctor(on_stop="raise")
    >>> # Trainer(model=model, args=args, train_dataset=data, callbacks=[doctor]).train()
    """

    def __init__(
        self,
        *,
        budget: float = 0.02,
        every: int | None = None,
        checkup: bool | float = True,
        on_stop: OnStop = "warn",
    ) -> None:
        super().__init__()
        self._visits = Visits(
            "huggingface", budget=budget, every=every, checkup=checkup, on_stop=on_stop
        )

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        """The optimizer has been made: the watch begins."""
        self._visits.begin(model, [optimizer])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Between two steps a finding may end the training."""
        self._visits.between_steps()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The watch is over."""
        self._visits.end()

    def close(self) -> None:
        """End the watch of a training that was broken off."""
        self._visits.end()
