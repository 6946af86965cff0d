"""What layers put out is caught as it was, by name, and the network does not notice."""

import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError, UnknownNameError
from netwright.inspection.activations import activations, last_at_each_size
from netwright.inspection.filters import filters, first_convolution
from netwright.models import MODELS, build


class Odd(nn.Module):
    """Runs one layer twice, one never; puts tensors into tuples and dicts."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.never = nn.Linear(1, 1)
        self.pair = Pair()
        self.words = Words()
        self.drop = nn.Dropout(0.9)

    def forward(self, x):
        self.words(x)
        first, _ = self.pair(self.act(self.conv(x)))
        return self.drop(self.act(first - 1)).flatten(1)


class Pair(nn.Module):
    def forward(self, x):
        return {"a": x}, (x + 1, [x + 2])

    def __call__(self, x):
        made, _ = super().__call__(x)
        return made["a"], None


class Words(nn.Module):
    def forward(self, x):
        return "no tensor"


def odd():
    net = Odd()
    with torch.no_grad():
        net.conv.weight.copy_(torch.tensor([2.0, -2.0]).reshape(2, 1, 1, 1))
    return net


ONE = torch.ones(1, 1, 1, 1)


def test_an_output_is_caught_before_the_next_layer_works_in_place():
    (found,) = activations(odd(), ONE, "conv")
    assert found.values.flatten().tolist() == [2.0, -2.0]


def test_a_layer_that_runs_twice_is_caught_twice():
    first, second = activations(odd(), ONE, "act")
    assert (first.call, second.call, first.calls) == (0, 1, 2)
    assert first.values.flatten().tolist() == [2.0, 0.0]
    assert second.values.flatten().tolist() == [1.0, 0.0]


def test_of_several_tensors_the_first_is_kept_and_they_are_counted():
    (found,) = activations(odd(), ONE, "pair")
    assert found.parts == 3
    assert found.values.flatten().tolist() == [2.0, 0.0]


def test_a_layer_that_does_not_run_is_said():
    with pytest.raises(SettingError, match=r"never \(Linear\) does not run"):
        activations(odd(), ONE, "never")


def test_a_layer_that_puts_out_no_tensor_is_said():
    with pytest.raises(SettingError, match=r"words \(Words\) puts out no tensor"):
        activations(odd(), ONE, "words")


def test_an_unknown_layer_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match='No layer called "convv"'):
        activations(odd(), ONE, "convv")


def test_the_network_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    net[1].eval()  # frozen, as in fine-tuning
    before = {name: each.clone() for name, each in net.state_dict().items()}
    random = torch.random.get_rng_state()
    activations(net, torch.rand(2, 1, 5, 5, generator=torch.Generator()), "2")
    assert torch.equal(random, torch.random.get_rng_state())
    assert [each.training for each in net.modules()] == [True, True, False, True]
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())
    assert not any(each._forward_hooks for each in net.modules())


def test_the_network_is_left_as_it_was_also_when_it_fails():
    net = nn.Sequential(nn.Conv2d(3, 2, 3)).train()
    with pytest.raises(RuntimeError):
        activations(net, ONE, "0")
    assert net.training
    assert not net[0]._forward_hooks


@pytest.mark.parametrize(
    "name", ["lenet5", "resnet20", "googlenet", "mobilenet_v2", "squeezenet1_1"]
)
def test_each_size_of_maps_has_its_last_layer(name):
    size = max(32, MODELS.get(name).facts.get("smallest", 1))
    net = build(name, num_classes=4, in_channels=3, input_size=(size, size))
    image = torch.zeros(1, 3, size, size)
    layers, logits = last_at_each_size(net, image)
    sizes = [tuple(each.shape[2:]) for _, each in layers]
    assert len(set(sizes)) == len(sizes) > 1
    assert logits.shape == (1, 4)
    for layer, output in layers:
        assert torch.equal(activations(net, image, layer)[-1].values, output)


def test_a_network_without_convolutions_has_neither_filters_nor_maps():
    net = build("mlp", num_classes=4, in_channels=1, input_size=(8, 8))
    assert first_convolution(net) is None
    assert last_at_each_size(net, torch.zeros(1, 1, 8, 8))[0] == []
    with pytest.raises(SettingError, match="This network has no convolution"):
        filters(net, "1")


def test_filters_are_a_copy_of_the_weights():
    net = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2))
    found = filters(net, "0")
    assert found.shape == (6, 2, 3, 3)
    assert torch.equal(found, net[0].weight)
    found.zero_()
    assert net[0].weight.any()


def test_a_block_is_answered_with_the_convolutions_in_it():
    net = build("resnet20", num_classes=4, in_channels=1, input_size=(8, 8))
    with pytest.raises(SettingError, match=r"Convolutions: layer1\.0\.conv1, layer1\.0\.conv2\."):
        filters(net, "layer1.0")
