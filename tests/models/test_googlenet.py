import torch
from torch import nn

from netwright.inspection.outline import outline
from netwright.models.googlenet import GoogLeNet, googlenet


def small(*, aux: bool) -> GoogLeNet:
    torch.manual_seed(0)
    model = googlenet(num_classes=3, in_channels=1, input_size=(16, 16), aux=aux, width=0.125)
    assert isinstance(model, GoogLeNet)
    return model


def test_it_gives_logits_alone_with_and_without_auxiliary_heads() -> None:
    images = torch.randn(2, 1, 16, 16)
    for aux in (False, True):
        assert small(aux=aux)(images).shape == (2, 3)


def test_the_auxiliary_heads_answer_in_training_and_rest_in_evaluation() -> None:
    model, images = small(aux=True), torch.randn(2, 1, 16, 16)
    model(images)
    assert [each.shape for each in model.aux_logits] == [(2, 3), (2, 3)]
    model.eval()(images)
    assert model.aux_logits == ()


def test_the_auxiliary_losses_reach_every_parameter_of_the_heads() -> None:
    model = small(aux=True)
    target = torch.tensor([0, 1])
    losses = [nn.functional.cross_entropy(model(torch.randn(2, 1, 16, 16)), target)]
    losses += [
        model.aux_weight * nn.functional.cross_entropy(each, target) for each in model.aux_logits
    ]
    sum(losses, torch.zeros(())).backward()
    assert all(each.grad is not None for each in model.parameters())


def test_with_5x5_kernels_and_no_norm_it_has_the_papers_size() -> None:
    with torch.device("meta"):
        model = googlenet(kernel=5, norm="none")
    rows = outline(model, (3, 224, 224))
    assert sum(row.params for row in rows) == 6_998_552
    assert sum(row.macs for row in rows) == 1_582_671_872


def test_the_auxiliary_heads_have_the_parameters_of_torchvisions() -> None:
    with torch.device("meta"):
        model = googlenet(aux=True)
    assert sum(each.numel() for each in model.parameters()) == 13_004_888
