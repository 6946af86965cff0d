"""What names stand for in a script, by its imports: `nn.Softmax` is `torch.nn.Softmax`."""

from __future__ import annotations

import ast

from netwright.tasks.source.script import CannotPatchError, Script

STARRED = {
    "torch.nn": {
        "Module", "Sequential", "ModuleList", "Linear", "Conv1d", "Conv2d", "Conv3d", "BatchNorm1d",
        "BatchNorm2d", "ReLU", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Identity", "Flatten",
        "CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss",
        "SmoothL1Loss", "HuberLoss", "KLDivLoss",
    },
    "torch.optim": {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam"},
    "torch.nn.functional": {
        "softmax", "log_softmax", "sigmoid", "tanh", "relu", "cross_entropy", "nll_loss",
        "mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    },
    "torch": {"softmax", "sigmoid", "tanh", "relu", "no_grad", "nn", "optim", "manual_seed"},
    "torch.utils.data": {"DataLoader", "TensorDataset", "Dataset"},
}  # fmt: skip
"""What `from ... import *` brings, of what is looked for here."""


class Names:
    """The imports of one script."""

    def __init__(self, script: Script) -> None:
        self._known: dict[str, str] = {}
        self._top: dict[str, str] = {}
        for each in ast.walk(script.tree):
            found = dict(_bound(each))
            self._known.update(found)
            if script.parents.get(each) is script.tree:
                self._top.update(found)

    def full(self, node: ast.AST | None) -> str:
        """The full name of a name or of an attribute of one, "" of anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self._known.get(node.id, node.id), *reversed(parts)])

    def torch(self, node: ast.AST | None) -> str:
        """The last part of a name that belongs to torch, "" of any other.

        `Softmax` for `nn.Softmax`, `torch.nn.modules.activation.Softmax` and so on.
        """
        full = self.full(node)
        return full.rpartition(".")[2] if full.startswith("torch.") else ""

    def called(self, node: ast.AST | None) -> str:
        """The same of what a call calls."""
        return self.torch(node.func) if isinstance(node, ast.Call) else ""

    def spelled(self, full: str) -> str:
        """How the script can write a full name with the imports at its top, the shortest way;
        `CannotPatchError` where it cannot."""
        found = [
            alias + full[len(known) :]
            for alias, known in self._top.items()
            if full == known or full.startswith(f"{known}.")
        ]
        if not found:
            raise CannotPatchError(f"{full} is not imported")
        return min(found, key=lambda each: (each.count("."), len(each)))


def _bound(node: ast.AST) -> list[tuple[str, str]]:
    if isinstance(node, ast.Import):
        return [
            (each.asname, each.name)
            if each.asname
            else (each.name.partition(".")[0], each.name.partition(".")[0])
            for each in node.names
        ]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        found = []
        for each in node.names:
            if each.name == "*":
                found += [(one, f"{node.module}.{one}") for one in STARRED.get(node.module, ())]
            else:
                found.append((each.asname or each.name, f"{node.module}.{each.name}"))
        return found
    return []
