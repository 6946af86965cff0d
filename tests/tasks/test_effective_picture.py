from pathlib import Path

import pytest

import netwright as nw
from netwright.core.errors import SettingError


def test_an_effective_field_is_drawn_and_written(tmp_path: Path) -> None:
    info = nw.inspect("lenet5")
    field = info.effective_field("c3")
    drawing = info.effective_picture(tmp_path / "field.svg", field)
    assert (tmp_path / "field.svg").read_text().startswith("<svg")
    assert "<svg" in str(drawing)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    info = nw.inspect("lenet5")
    with pytest.raises(SettingError, match="picture of an effective field") as caught:
        info.effective_picture(tmp_path / "field.png", info.effective_field("c3"))
    assert "field.svg" in str(caught.value)
