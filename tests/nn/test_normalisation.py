import pytest
import torch

from netwright.nn import by_hand
from netwright.nn.normalisation import NormName, normalisation

BY_HAND = {
    "batch": by_hand.batch_norm,
    "layer": lambda x: by_hand.group_norm(x, num_groups=1),
    "group": lambda x: by_hand.group_norm(x, num_groups=8),
    "instance": by_hand.instance_norm,
}


@pytest.mark.parametrize("name", ["batch", "layer", "instance", "group"])
def test_each_norm_is_the_one_by_hand(name: NormName) -> None:
    x = torch.randn(5, 16, 6, 7) * 3 + 2
    expected, _ = BY_HAND[name](x.double().numpy())
    found = normalisation(name, 16)(x)
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-4)


def test_group_norm_takes_an_eighth_of_the_channels_together() -> None:
    x = torch.randn(2, 32, 3, 3) * 3 + 2
    out = normalisation("group", 32)(x).view(2, 8, -1)
    torch.testing.assert_close(out.mean(2), torch.zeros(2, 8), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var(2, correction=0), torch.ones(2, 8), rtol=1e-3, atol=0)


def test_channels_that_eight_does_not_divide_make_fewer_groups() -> None:
    assert normalisation("group", 12).num_groups == 4


@pytest.mark.parametrize("name", ["batch", "layer", "instance", "group"])
def test_every_norm_has_a_weight_and_a_bias_for_each_channel(name: NormName) -> None:
    assert [p.shape for p in normalisation(name, 16).parameters()] == [(16,), (16,)]


@pytest.mark.parametrize("name", ["none", None])
def test_no_norm_has_none(name: NormName | None) -> None:
    assert list(normalisation(name, 16).parameters()) == []
