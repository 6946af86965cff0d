"""Activations by name, spelled as torch spells their functions.

Without one between them any number of linear layers is one linear layer. Each function here makes
a fresh module for `model.act=NAME`, and its docstring says what it is; all work on tensors of any
shape, element by element.

Choosing: `relu`; `leaky_relu` or `elu` where units die though the rate is right; `gelu` or `silu`
to repeat networks that have them; `tanh` in small networks; `sigmoid` only at an answer. The gain
is what `init=he` multiplies the spread of the weights by, so that the signal keeps its size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from torch import nn

from netwright.core.registry import Registry

ActivationName: TypeAlias = Literal[
    "relu", "leaky_relu", "prelu", "relu6", "elu", "selu", "gelu", "silu", "mish", "hardswish",
    "softplus", "tanh", "sigmoid",
]  # fmt: skip

ACTIVATIONS: Registry[Callable[[], nn.Module]] = Registry(
    "activation", "netwright.nn.activations", listing="netwright ls activations"
)
"""What makes each activation, under the name that `model.act` takes."""


def activation(name: ActivationName) -> nn.Module:
    """A fresh activation module; one for each place, so that a table of layers can name it.

    `prelu` has one slope for all channels, a parameter that starts at 0.25 (He, Zhang, Ren & Sun
    2015, "Delving deep into rectifiers"); the others have none.

    >>> activation("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    return ACTIVATIONS.get(name).target()


@ACTIVATIONS.register("relu")
def relu() -> nn.Module:
    """ReLU: max(0, x).

    Range [0, inf); slope 1 above 0, 0 below. It does not saturate above 0 and is the cheapest of
    all. Half of a normal signal becomes 0: the zeros are a by-product, they do not keep a network
    from over-fitting (28 % of a trained network's units were 0, and it learned 30 % wrong labels by
    heart).

    Source: Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines;
    Glorot, Bordes & Bengio 2011, Deep sparse rectifier neural networks.

    When to use it: the default, with `init=he`.

    What goes wrong: a unit that is below 0 for all data has no gradient and stays dead. The usual
    cause is too high a rate: 2 % dead units at a rate of 0.1, 58 % at 1.0. Lower the rate first; a
    leaky one removes the symptom and not the cause. Its mean is not 0.

    >>> from torch import tensor
    >>> relu()(tensor([-2.0, 0.0, 3.0]))
    tensor([0., 0., 3.])
    """
    return nn.ReLU()


@ACTIVATIONS.register("leaky_relu")
def leaky_relu() -> nn.Module:
    """Leaky ReLU: x above 0, 0.01 x below.

    Range (-inf, inf); slope 1 above 0, 0.01 below: never without a gradient.

    Source: Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models.

    When to use it: where ReLU's units die though the rate and the first weights are right; heads
    that end in an activation, such as SqueezeNet's; discriminators.

    What goes wrong: a rate that kills ReLUs ruins it too: at a rate of 1.0 the leaky network stayed
    at 0.10 training accuracy. A hundredth of a gradient is slow to bring a unit back.

    >>> from torch import tensor
    >>> leaky_relu()(tensor([-2.0, 3.0]))
    tensor([-0.0200,  3.0000])
    """
    return nn.LeakyReLU()


@ACTIVATIONS.register("prelu")
def prelu() -> nn.Module:
    """PReLU: x above 0, a x below, where a is learned.

    Range (-inf, inf). One a for all channels of a layer, a parameter that starts at 0.25.

    Source: He, Zhang, Ren & Sun 2015, Delving deep into rectifiers.

    When to use it: as `leaky_relu`, where the slope is to be found and not chosen.

    What goes wrong: weight decay pulls a towards 0 and makes it a ReLU: `optim.spare=true`, the
    default, spares it. It is one more parameter in each place, which weights of ReLU networks do
    not have: they do not load into it. Its backward pass is slow on a processor.

    >>> from torch import tensor
    >>> prelu()(tensor([-2.0, 3.0])).detach()
    tensor([-0.5000,  3.0000])
    """
    return nn.PReLU()


@ACTIVATIONS.register("relu6")
def relu6() -> nn.Module:
    """ReLU6: min(max(0, x), 6).

    Range [0, 6]; slope 1 between 0 and 6, 0 outside.

    Source: Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10.

    When to use it: networks that will compute in 8 bits, where a fixed range costs least; the
    public weights of MobileNetV2.

    What goes wrong: it dies on both sides: without a norm before it values beyond 6 have no
    gradient. In float arithmetic it has no edge over `relu`.

    >>> from torch import tensor
    >>> relu6()(tensor([-2.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """
    return nn.ReLU6()


@ACTIVATIONS.register("elu")
def elu() -> nn.Module:
    """ELU: x above 0, exp(x) - 1 below.

    Range (-1, inf); smooth at 0, slope 1 above, exp(x) below. Negative values bring the mean of a
    layer near 0.

    Source: Clevert, Unterthiner & Hochreiter 2016, Fast and accurate deep network learning by
    exponential linear units.

    When to use it: networks without norm, where a mean of 0 helps and no unit should die at once.

    What goes wrong: it saturates far below 0, where its gradient vanishes; exp makes it dearer than
    ReLU. Behind a norm its zero mean is nothing new.

    >>> from torch import tensor
    >>> elu()(tensor([-2.0, 3.0]))
    tensor([-0.8647,  3.0000])
    """
    return nn.ELU()


@ACTIVATIONS.register("selu")
def selu() -> nn.Module:
    """SELU: 1.0507 x above 0, 1.0507 1.6733 (exp(x) - 1) below.

    Range (-1.758, inf). The two numbers are such that mean 0 and variance 1 of a layer's inputs
    come out again: normalisation without a norm.

    Source: Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks.

    When to use it: deep fully connected networks without norm, with `init=lecun`.

    What goes wrong: its promise needs normal weights of variance 1 / fan_in and inputs of mean 0
    and variance 1. Ordinary dropout breaks it (the paper has one of its own), and so do pooling and
    residual sums. With a norm there is nothing left for it to do.

    >>> from torch import tensor
    >>> selu()(tensor([-2.0, 3.0]))
    tensor([-1.5202,  3.1521])
    """
    return nn.SELU()


@ACTIVATIONS.register("gelu")
def gelu() -> nn.Module:
    """GELU: x P(z < x), with z normal.

    Range from -0.17; smooth, not monotone: it falls to its least value near x = -0.75 and then
    rises.

    Source: Hendrycks & Gimpel 2016, Gaussian error linear units.

    When to use it: transformers and the convolutional networks modelled on them.

    What goes wrong: on a processor it costs several times what ReLU does, and small networks seldom
    repay it. The tanh formula that some libraries use is an approximation: weights want the form
    they were trained with. Far below 0 it has no gradient either.

    >>> from torch import tensor
    >>> gelu()(tensor([-2.0, 1.0]))
    tensor([-0.0455,  0.8413])
    """
    return nn.GELU()


@ACTIVATIONS.register("silu")
def silu() -> nn.Module:
    """SiLU (Swish): x sigmoid(x).

    Range from -0.28; smooth, not monotone.

    Source: Elfwing, Uchibe & Doya 2018, Sigmoid-weighted linear units; Ramachandran, Zoph & Le
    2017, Searching for activation functions.

    When to use it: networks of the EfficientNet kind; where `relu` works and a smooth one is
    wanted.

    What goes wrong: as with `gelu`: dearer than ReLU, a small gain if any; half of its units are
    small numbers and not zeros, so nothing is sparse.

    >>> from torch import tensor
    >>> silu()(tensor([-2.0, 3.0]))
    tensor([-0.2384,  2.8577])
    """
    return nn.SiLU()


@ACTIVATIONS.register("mish")
def mish() -> nn.Module:
    """Mish: x tanh(log(1 + exp(x))).

    Range from -0.31; smooth, not monotone, close to `silu`.

    Source: Misra 2019, Mish: a self regularized non-monotonic activation function.

    When to use it: to load or repeat networks that have it (detectors of the YOLOv4 kind).

    What goes wrong: on a processor the dearest of all here, and hardly to be told from `silu`.

    >>> from torch import tensor
    >>> mish()(tensor([-2.0, 3.0]))
    tensor([-0.2525,  2.9865])
    """
    return nn.Mish()


@ACTIVATIONS.register("hardswish")
def hardswish() -> nn.Module:
    """Hard swish: x min(max(0, x + 3), 6) / 6.

    Range from -0.375; 0 below -3 and x above 3: `silu` from straight pieces, without exp.

    Source: Howard et al. 2019, Searching for MobileNetV3.

    When to use it: where `silu` is wanted on a processor or in 8 bits.

    What goes wrong: below -3 it has no gradient: units can die as with ReLU. Of all here its gain
    fits worst: the spread of 20 layers of width 256 was 2.3 times that of the first.

    >>> from torch import tensor
    >>> hardswish()(tensor([-2.0, 3.0]))
    tensor([-0.3333,  3.0000])
    """
    return nn.Hardswish()


@ACTIVATIONS.register("softplus")
def softplus() -> nn.Module:
    """Softplus: log(1 + exp(x)).

    Range (0, inf); smooth, its slope is sigmoid(x).

    Source: Dugas, Bengio, Belisle, Nadeau & Garcia 2001, Incorporating second-order functional
    knowledge for better option pricing.

    When to use it: outputs that must be above 0 (a variance, a rate); second derivatives are
    wanted.

    What goes wrong: it is 0.69 at x = 0 and never below 0, so a layer's mean is far from 0 and deep
    stacks drift; dearer than ReLU and not better in hidden layers.

    >>> from torch import tensor
    >>> softplus()(tensor([-2.0, 3.0]))
    tensor([0.1269, 3.0486])
    """
    return nn.Softplus()


@ACTIVATIONS.register("tanh")
def tanh() -> nn.Module:
    """tanh: (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Range (-1, 1); slope 1 - tanh(x)^2, at most 1. It is 2 sigmoid(2x) - 1, with mean 0: that alone
    saved two epochs of ten against the same curve shifted off 0.

    Source: LeCun, Bottou, Orr & Mueller 1998, Efficient backprop.

    When to use it: small and recurrent networks, outputs between -1 and 1; `init=xavier`.

    What goes wrong: it saturates: beyond |x| = 3 the slope is below 0.01. In ten layers the signal
    dies at weights too small (spread 0.01: 1e-10 is left) and saturates at weights too large. No
    gain keeps its mean square at 1.

    >>> from torch import tensor
    >>> tanh()(tensor([-2.0, 3.0]))
    tensor([-0.9640,  0.9951])
    """
    return nn.Tanh()


@ACTIVATIONS.register("sigmoid")
def sigmoid() -> nn.Module:
    """Sigmoid: 1 / (1 + exp(-x)).

    Range (0, 1); slope s (1 - s), at most 1/4; below 0.01 beyond |x| = 4.6.

    Source: Cox 1958 for answers; Rumelhart, Hinton & Williams 1986 for hidden layers.

    When to use it: as the answer to a yes-or-no question (inside `loss=bce_with_logits`), in the
    gates of recurrent networks; in hidden layers to show what goes wrong.

    What goes wrong: each layer makes the backward signal at least four times smaller, times the
    gain of the weights: ten layers stay at 10 % where ReLU with He's weights reaches 98.6 %; with
    batch normalisation they reach it too. Its mean is 1/2, not 0.

    >>> from torch import tensor
    >>> sigmoid()(tensor([-2.0, 0.0]))
    tensor([0.1192, 0.5000])
    """
    return nn.Sigmoid()
