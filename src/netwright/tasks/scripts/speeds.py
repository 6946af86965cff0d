"""How the steps of a script are computed, where a recipe says so: layout, precision, compiled.

What a recipe leaves to `auto` is measured by a run that is long enough; a script computes plainly.
"""

from __future__ import annotations

from netwright.tasks.scripts.material import Material


def preparation(material: Material) -> list[str]:
    """The lines that make the network ready, before the loop."""
    lines = []
    if material.value("run.channels_last") is True:
        lines.append("model.to(memory_format=torch.channels_last)")
    tf32 = material.value("run.tf32")
    if tf32 != "auto":
        lines.append(f"torch.backends.cuda.matmul.allow_tf32 = {tf32}")
        lines.append(f"torch.backends.cudnn.allow_tf32 = {tf32}")
    if material.value("run.compile") is True:
        lines.append("compiled = torch.compile(model)")
    return lines


def logits_lines(material: Material, images: str) -> list[str]:
    """The lines that make `logits` of images (an expression)."""
    if material.value("run.precision") == "fp16" and "run.precision=fp16" not in material.faults:
        material.faults.append("run.precision=fp16")  # a scaler is no line or two
    network = "compiled" if material.value("run.compile") is True else "model"
    if material.value("run.channels_last") is True:
        images = f"{images}.contiguous(memory_format=torch.channels_last)"
    if material.value("run.precision") != "bf16":
        return [f"logits = {network}({images})"]
    return [
        "with torch.autocast(device.type, dtype=torch.bfloat16):",
        f"    logits = {network}({images})",
        "logits = logits.float()",
    ]
