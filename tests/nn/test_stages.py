"""A network is parted into stages, every parameter into one, from the input to the head."""

import pytest
import torch
from torch import nn

from netwright.models import MODELS, build
from netwright.nn.initialisation import last_layer
from netwright.nn.stages import has_statistics, recompute_statistics, stages


def built(name):
    channels, *size = MODELS.get(name).facts.get("input", (3, 224, 224))
    with torch.device("meta"):
        return build(name, num_classes=10, in_channels=channels, input_size=tuple(size))


def parted(model):
    inside = {id(each) for each in last_layer(model).parameters()}
    head = [name for name, each in model.named_parameters() if id(each) in inside]
    return head, stages(model, head=head)


@pytest.mark.parametrize(
    "name",
    ["mlp", "lenet5", "resnet18", "resnet20", "mobilenet_v2", "mobilenet_v1", "vgg11_bn",
     "squeezenet1_0", "googlenet"],
)  # fmt: skip
def test_every_parameter_and_every_norm_of_a_network_is_in_one_stage(name):
    model = built(name)
    head, found = parted(model)
    listed = [one for stage in found for one in stage.parameters]
    assert sorted([*listed, *head]) == sorted(name for name, _ in model.named_parameters())
    norms = [one for stage in found for one in stage.norms]
    assert sorted(norms) == sorted(n for n, each in model.named_modules() if has_statistics(each))


def test_a_residual_network_is_parted_into_its_blocks():
    _, found = parted(built("resnet18"))
    assert [each.name for each in found] == ["conv1"] + [
        f"layer{layer}.{block}" for layer in range(1, 5) for block in range(2)
    ]
    assert found[0].norms == ("bn1",)


def test_a_wrapper_round_a_network_is_opened_too():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 4))
            self.backbone = built("resnet20")
            self.classifier = nn.Linear(10, 3)

    _, found = parted(Wrapper())
    names = [each.name for each in found]
    assert names[:3] == ["", "backbone.conv1", "backbone.layer1.0"]
    assert found[0].parameters == ("token",)


def test_statistics_are_the_mean_over_all_batches_and_the_modes_come_back():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5))
    model[1].momentum = 0.3
    model.eval()
    model[2].train()
    images = torch.randn(4, 8, 1, 6, 6)
    recompute_statistics(model, iter(images))
    maps = [model[0](batch) for batch in images]
    expected = torch.stack([each.mean((0, 2, 3)) for each in maps]).mean(0)
    torch.testing.assert_close(model[1].running_mean, expected)
    variances = torch.stack([each.transpose(0, 1).flatten(1).var(dim=1) for each in maps])
    torch.testing.assert_close(model[1].running_var, variances.mean(0))
    assert (model[1].momentum, model[1].training, model[2].training) == (0.3, False, True)
