"""`nw.LightningDoctor`: the doctor as a callback of Lightning's Trainer."""

from __future__ import annotations

from typing import Any

from netwright.core.extras import refuse_absent_extra
from netwright.doctor.frameworks.calls import OnStop, Told, Visits

refuse_absent_extra("lightning", "lightning.pytorch", "nw.LightningDoctor")

from lightning.pytorch import Callback  # noqa: E402


class LightningDoctor(Told, Callback):  # type: ignore[misc]  # Lightning is not read by mypy
    """Watches what a `lightning.Trainer` trains, as `nw.watch` does with a loop.

    It is needed where the optimizers are made by the trainer, in `configure_optimizers`, so that
    nobody could hand them over before. The watch begins with `fit` and ends with it, also by an
    error; the training computes the same bits. The options are those of `nw.watch`; with
    `on_stop="raise"` a finding of severity `stop` ends `fit` by a `nw.FindingError`.

    Needs the extra `netwright[lightning]`.

    >>> import torch, lightning
    >>> class Net(lightning.LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(dim=1))
    ...     def training_step(self, batch):
    ...         return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> data = torch.utils.data.TensorDataset(torch.randn(96, 4), torch.arange(96) % 3)
    >>> doctor = LightningDoctor()
    >>> trainer = lightning.Trainer(
    ...     callbacks=[doctor], max_epochs=1, accelerator="cpu", logger=False,
    ...     enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    >>> trainer.fit(Net(), torch.utils.data.DataLoader(data, batch_size=16))
    >>> doctor.findings[0].name
    'softmax-before-cross-entropy'
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
            "lightning", budget=budget, every=every, checkup=checkup, on_stop=on_stop
        )

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """The optimizers have been made: the watch begins."""
        self._visits.begin(pl_module, trainer.optimizers)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Between two steps a finding may end the training."""
        self._visits.between_steps()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """The watch is over."""
        self._visits.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The watch is over too."""
        self._visits.end(exception)
