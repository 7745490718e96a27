"""What is under test in this folder: operators, small networks, bound methods and threat models.

A new operator needs one line in `OPERATORS`; all properties are then checked for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustsuite import bounds, seeding
from robustsuite.bounds import Bounds, Graph
from robustsuite.perturbations import L0, L1, L2, Box, Linf, Perturbation, SubstitutionRegion, Substitutions

aten = torch.ops.aten
Shape = tuple[int, ...]


class Applied(nn.Module):
    """A module made of a function of one tensor."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)


def of(function: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
    """Give the builder of a module that applies `function`."""
    return lambda: Applied(function)


@dataclass(frozen=True)
class Case:
    """A small module with the inputs it is tested on.

    Args:
        name: for test ids; unique in its list.
        make: builds the module.
        shape: of the input for one example.
        middle: inputs lie in [middle - 1, middle + 1], which is also the clip range.
        eps: radius of the Linf ball; the others are made from it.
        affine: whether the whole module is affine.
    """

    name: str
    make: Callable[[], nn.Module]
    shape: Shape
    middle: float = 0.0
    eps: float = 0.2
    affine: bool = False

    def __str__(self) -> str:
        return self.name

    def module(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """Build the module anew, in eval mode, always with the same parameters."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeding.derive(0, "case", self.name))
            module = self.make()
            for part in module.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
                    assert part.running_var is not None
                    part.running_mean.normal_()
                    part.running_var.uniform_(0.5, 2.0)
                if isinstance(part, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm):
                    nn.init.normal_(part.weight)
                    nn.init.normal_(part.bias)
        return module.eval().to(dtype)

    def inputs(self, batch: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
        """Give examples in the case's range."""
        noise = torch.rand((batch, *self.shape), generator=seeding.generator(0, "inputs", self.name))
        return (self.middle + 1.8 * noise - 0.9).to(dtype)

    @property
    def clip(self) -> tuple[float, float]:
        return self.middle - 1, self.middle + 1


@functools.cache
def traced(case: Case, dtype: torch.dtype = torch.float32) -> Graph:
    """Trace a case once for all tests; they must leave the module as it is."""
    return bounds.trace(case.module(dtype), case.inputs(dtype=dtype))


@dataclass(frozen=True)
class Threat:
    """A threat model that fits itself to a case."""

    name: str
    make: Callable[[Case, float], Perturbation]

    def __str__(self) -> str:
        return self.name

    def of(self, case: Case, factor: float = 1.0) -> Perturbation:
        """Give the perturbation for a case, its radius multiplied by `factor`."""
        return self.make(case, factor * case.eps)


def _box(case: Case, eps: float) -> Box:
    width = torch.linspace(eps, 2 * eps, torch.Size(case.shape).numel()).view(case.shape)
    return Box(case.middle - width, case.middle + width / 2)


def _per_feature(case: Case, eps: float) -> Linf:
    radius = torch.linspace(0.0, 1.5 * eps, torch.Size(case.shape).numel()).view(case.shape)
    return Linf(radius)


@dataclass(frozen=True)
class Nearby(Perturbation):
    """Substitutions by vectors near to each position's own, a different number for each, whatever the batch."""

    eps: float
    clip: tuple[float, float]

    def around(self, x: Tensor) -> SubstitutionRegion:
        noise = torch.rand((1, x.shape[1], 3, *x.shape[2:]), generator=seeding.generator(0, "candidates"))
        candidates = x.unsqueeze(2) + 6 * self.eps * (noise - 0.5).to(x)
        mask = torch.arange(3) <= torch.arange(x.shape[1]).unsqueeze(1) % 4 - 1
        words = Substitutions(candidates.clamp(*self.clip), mask.expand(len(x), -1, -1), budget=2)
        return words.around(x)

    def scaled(self, factor: float) -> Nearby:
        return Nearby(self.eps * factor, self.clip)

    def describe(self) -> str:
        return f"Nearby({self.eps})"


PERTURBATIONS = [
    Threat("linf", lambda case, eps: Linf(eps)),
    Threat("linf, clipped", lambda case, eps: Linf(eps, clip=case.clip)),
    Threat("l2", lambda case, eps: L2(1.5 * eps)),
    Threat("l2, clipped", lambda case, eps: L2(2.0 * eps, clip=case.clip)),
    Threat("l1", lambda case, eps: L1(2.0 * eps)),
    Threat("l1, clipped", lambda case, eps: L1(3.0 * eps, clip=case.clip)),
    Threat("box", _box),
    Threat("linf, per feature", _per_feature),
    Threat("l0", lambda case, eps: L0(2 if eps else 0, *case.clip)),
    Threat("substitutions", lambda case, eps: Nearby(eps, case.clip)),
]


@dataclass(frozen=True)
class Method:
    """A bound method, cheap enough for a sweep over many cases."""

    name: str
    call: Callable[..., Bounds]
    differentiable: bool = True

    def __str__(self) -> str:
        return self.name


def _few_steps(*args: object, **kwargs: object) -> Bounds:
    return bounds.alpha_crown(*args, **{"steps": 4} | kwargs)  # type: ignore[arg-type]


METHODS = [
    Method("ibp", bounds.ibp),
    Method("forward", bounds.forward),
    Method("crown_ibp", bounds.crown_ibp),
    Method("crown", bounds.crown),
    Method("alpha_crown", _few_steps, differentiable=False),
]


class Residual(nn.Module):
    """relu(x + branch(x))."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))


class Both(nn.Module):
    """An operation on the results of two branches of one input."""

    def __init__(self, first: nn.Module, second: nn.Module, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self._join = first, second, join

    def forward(self, x: Tensor) -> Tensor:
        return self._join(self.first(x), self.second(x))


def both(join: Callable[[Tensor, Tensor], Tensor], size: int = 4) -> Callable[[], nn.Module]:
    """Give the builder of an operation between two linear layers of (size,) inputs."""
    return lambda: Both(nn.Linear(size, 3), nn.Linear(size, 3), join)


class Attention(nn.Module):
    """Self-attention of (length, 4) inputs by torch's own function."""

    def __init__(self, *, causal: bool = False) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(4, 4) for _ in range(3))
        self._causal = causal

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(-1, (2, 2)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self._causal)
        return mixed.transpose(1, 2).flatten(2)


class Addmm(nn.Module):
    """torch.addmm with factors, the bias perturbed too."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(x, x, self.weight, beta=0.5, alpha=2.0)


class PerFeature(nn.Module):
    """An operation with a constant vector."""

    def __init__(self, constant: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.register_buffer("constant", constant)
        self._operation = operation

    def forward(self, x: Tensor) -> Tensor:
        constant = self.get_buffer("constant")
        return self._operation(x, constant)


def constant(
    operation: Callable[[Tensor, Tensor], Tensor], values: tuple[float, ...] = (1.5, -0.5, 0.25, -2.0)
) -> Callable[[], nn.Module]:
    """Give the builder of an operation of x with a constant vector."""
    return lambda: PerFeature(torch.tensor(values), operation)


def indexed(operation: Callable[[Tensor, Tensor], Tensor], *index: int) -> Callable[[], nn.Module]:
    """Give the builder of an operation of x with constant indices."""
    return lambda: PerFeature(torch.tensor(index), operation)


def normed(layer: nn.Module, **factors: float) -> nn.Module:
    """Give parameters of a layer other values than those that hide mistakes (one and zero)."""
    with torch.no_grad():
        for name, scale in factors.items():
            getattr(layer, name).normal_(0, scale)
    return layer


def _with_entries(x: Tensor, index: Tensor, values: Tensor) -> Tensor:
    y = x.clone()
    y[:, index] = values
    return y


def _scattered(x: Tensor, index: Tensor, reduce: str) -> Tensor:
    x = x.detach()  # torch has no derivative of it
    return x.scatter(1, index.expand(len(x), len(index)), x[:, 1 : 1 + len(index)], reduce=reduce)


def _with_slice(x: Tensor, values: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1:3] = values
    y[:, 0] = 0.5
    return y


def _sampled(x: Tensor, grid: Tensor) -> Tensor:
    points = grid.expand(len(x), *grid.shape[1:])
    return F.grid_sample(x, points, padding_mode="border", align_corners=False)


def _nearest(x: Tensor, grid: Tensor) -> Tensor:
    points = grid.expand(len(x), *grid.shape[1:])
    return F.grid_sample(x, points, mode="nearest", align_corners=True)


def affine(name: str, make: Callable[[], nn.Module], shape: Shape) -> Case:
    """Give the case of an affine operator."""
    return Case(name, make, shape, affine=True)


IMAGE, VECTOR = (2, 5, 5), (4,)

OPERATORS = [
    # linear
    affine("linear", lambda: nn.Linear(4, 3), VECTOR),
    affine("linear without bias", lambda: nn.Linear(4, 3, bias=False), VECTOR),
    affine("linear on the last axis", lambda: nn.Linear(4, 3), (3, 4)),
    affine("matmul on the right", constant(lambda x, c: x @ c), VECTOR),
    affine("matmul on the left", indexed(lambda x, c: c.float() @ x, 3, -1, 2), (3, 4)),
    affine("matmul, batched constant", lambda: PerFeature(torch.randn(3, 4, 2), torch.matmul), (3, 2, 4)),
    affine("addmm", Addmm, VECTOR),
    Case("matmul of two", of(lambda x: x @ x.transpose(1, 2)), (3, 4)),
    Case("einsum of two", of(lambda x: torch.einsum("bij,bkj->bik", x, x.tanh())), (2, 3)),
    # convolution
    affine("conv1d", lambda: nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 7)),
    affine("conv1d, dilation and groups", lambda: nn.Conv1d(2, 4, 2, dilation=2, groups=2), (2, 6)),
    affine("conv2d", lambda: nn.Conv2d(2, 3, 3), IMAGE),
    affine("conv2d, stride and padding", lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 6, 5)),
    affine("conv2d, one grey image", lambda: nn.Conv2d(1, 9, (2, 3), stride=(1, 2), padding=1), (1, 4, 5)),
    affine("conv2d, kernel of several strides", lambda: nn.Conv2d(2, 3, 4, stride=2, padding=1), (2, 7, 6)),
    affine("conv2d, stride that does not divide", lambda: nn.Conv2d(2, 2, 2, stride=3), (2, 7, 6)),
    affine("conv2d, dilation", lambda: nn.Conv2d(2, 2, 2, dilation=2, padding=(1, 2)), IMAGE),
    affine("conv2d, groups", lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 4, 4)),
    affine("conv2d, depthwise", lambda: nn.Conv2d(2, 4, (1, 3), groups=2, bias=False), IMAGE),
    affine("conv2d, same", lambda: nn.Conv2d(2, 2, (2, 3), padding="same"), IMAGE),
    affine("conv3d", lambda: nn.Conv3d(1, 2, 2, stride=(1, 2, 1)), (1, 3, 4, 3)),
    affine("conv_transpose1d", lambda: nn.ConvTranspose1d(2, 2, 3, stride=2, padding=1), (2, 4)),
    affine("conv_transpose2d", lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1), (2, 3, 3)),
    affine(
        "conv_transpose2d, output padding, groups, dilation",
        lambda: nn.ConvTranspose2d(
            2, 4, 2, stride=3, padding=1, output_padding=(1, 2), groups=2, dilation=(1, 2)
        ),
        (2, 3, 2),
    ),
    # pooling
    affine("avg_pool1d", lambda: nn.AvgPool1d(3, stride=2, padding=1), (2, 7)),
    affine("avg_pool2d", lambda: nn.AvgPool2d(2), IMAGE),
    affine("avg_pool2d, overlapping, padded", lambda: nn.AvgPool2d(3, stride=2, padding=1), IMAGE),
    affine(
        "avg_pool2d, ceil, padding not counted",
        lambda: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
        (2, 6, 5),
    ),
    affine("avg_pool2d, divisor", lambda: nn.AvgPool2d(2, divisor_override=3), IMAGE),
    affine("avg_pool3d", lambda: nn.AvgPool3d(2, stride=1), (1, 3, 3, 3)),
    affine("adaptive_avg_pool1d", lambda: nn.AdaptiveAvgPool1d(3), (2, 7)),
    affine("adaptive_avg_pool2d", lambda: nn.AdaptiveAvgPool2d((3, 2)), IMAGE),
    affine("adaptive_avg_pool2d to 1", lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    affine("adaptive_avg_pool3d", lambda: nn.AdaptiveAvgPool3d((2, 2, 1)), (1, 3, 2, 3)),
    Case("max_pool1d", lambda: nn.MaxPool1d(2), (2, 6)),
    Case("max_pool2d", lambda: nn.MaxPool2d(2), IMAGE),
    Case("max_pool2d, overlapping, padded", lambda: nn.MaxPool2d(3, stride=2, padding=1), IMAGE),
    Case("max_pool2d, ceil", lambda: nn.MaxPool2d(2, stride=2, ceil_mode=True), IMAGE),
    Case(
        "max_pool2d, ceil, padded, dilated",
        lambda: nn.MaxPool2d((2, 3), stride=2, padding=(1, 1), dilation=(2, 1), ceil_mode=True),
        (2, 6, 5),
    ),
    Case("adaptive_max_pool1d", lambda: nn.AdaptiveMaxPool1d(3), (2, 7)),
    Case("adaptive_max_pool2d", lambda: nn.AdaptiveMaxPool2d((3, 2)), IMAGE),
    Case("adaptive_max_pool3d", lambda: nn.AdaptiveMaxPool3d((2, 2, 1)), (1, 3, 2, 3)),
    Case("max_pool3d", lambda: nn.MaxPool3d(2), (1, 2, 4, 2)),
    # normalisation
    affine("batch_norm1d", lambda: nn.BatchNorm1d(4), VECTOR),
    affine("batch_norm1d of sequences", lambda: nn.BatchNorm1d(2), (2, 5)),
    affine("batch_norm2d", lambda: nn.BatchNorm2d(2), IMAGE),
    Case("layer_norm", lambda: nn.LayerNorm(4), (3, 4)),
    Case("layer_norm over two axes", lambda: nn.LayerNorm((2, 3), elementwise_affine=True), (2, 3)),
    Case("group_norm", lambda: nn.GroupNorm(2, 4), (4, 3)),
    Case("instance_norm", lambda: nn.InstanceNorm2d(2), (2, 3, 3)),
    Case("rms_norm", lambda: normed(nn.RMSNorm(4), weight=1.0), (3, 4)),
    Case("vector norm", of(lambda x: torch.linalg.vector_norm(x, dim=1)), VECTOR, middle=2.0),
    Case("vector norm, 1", of(lambda x: torch.linalg.vector_norm(x, 1, dim=1)), VECTOR),
    Case("vector norm, inf", of(lambda x: torch.linalg.vector_norm(x, torch.inf, dim=-1)), (3, 4)),
    Case("norm", of(lambda x: x.norm(dim=1, keepdim=True)), VECTOR, middle=2.0),
    Case("norm around zero", of(lambda x: x.norm(dim=1)), VECTOR),
    Case("normalise", of(lambda x: F.normalize(x, dim=1)), VECTOR, middle=2.0),
    Case("variance", of(lambda x: x.var(1)), VECTOR),
    Case("variance, correction", of(lambda x: x.var((1, 2), correction=0, keepdim=True)), (3, 4)),
    # activations
    Case("relu", nn.ReLU, VECTOR),
    Case("leaky_relu", lambda: nn.LeakyReLU(0.1), VECTOR),
    Case("leaky_relu, steep", lambda: nn.LeakyReLU(1.7), VECTOR),
    Case("leaky_relu, negative", lambda: nn.LeakyReLU(-0.4), VECTOR),
    Case("prelu", lambda: nn.PReLU(init=0.3), VECTOR),
    Case("prelu per channel", lambda: normed(nn.PReLU(2), weight=1.0), IMAGE),
    Case("relu6", of(lambda x: F.relu6(4 * x + 3)), VECTOR),
    Case("hardtanh", of(lambda x: F.hardtanh(x, -0.3, 0.6)), VECTOR),
    Case("hardswish", of(lambda x: F.hardswish(4 * x)), VECTOR),
    Case("hardsigmoid", of(lambda x: F.hardsigmoid(4 * x)), VECTOR),
    Case("abs", of(torch.abs), VECTOR),
    Case("tanh", of(lambda x: (3 * x).tanh()), VECTOR),
    Case("sigmoid", of(lambda x: (5 * x).sigmoid()), VECTOR),
    Case("atan", of(lambda x: (3 * x).atan()), VECTOR),
    Case("erf", of(lambda x: (2 * x).erf()), VECTOR),
    Case("gelu", of(lambda x: F.gelu(3 * x)), VECTOR),
    Case("gelu, tanh", of(lambda x: F.gelu(3 * x, approximate="tanh")), VECTOR),
    Case("silu", of(lambda x: F.silu(4 * x)), VECTOR),
    Case("mish", of(lambda x: F.mish(4 * x)), VECTOR),
    Case("softplus", of(lambda x: F.softplus(x, beta=2.0)), VECTOR),
    Case("elu", of(lambda x: F.elu(x, 1.5)), VECTOR),
    Case("celu", of(lambda x: F.celu(x, 0.5)), VECTOR),
    Case("selu", of(F.selu), VECTOR),
    Case("log_sigmoid", of(F.logsigmoid), VECTOR),
    Case("exp", of(torch.exp), VECTOR),
    Case("log", of(torch.log), VECTOR, middle=2.0),
    Case("sqrt", of(torch.sqrt), VECTOR, middle=2.0),
    Case("rsqrt", of(torch.rsqrt), VECTOR, middle=2.0),
    Case("square", of(torch.square), VECTOR),
    Case("cube", of(lambda x: x**3), VECTOR),
    Case("fourth power", of(lambda x: x**4), VECTOR),
    Case("power 1.5", of(lambda x: x**1.5), VECTOR, middle=2.0),
    Case("power 0.3", of(lambda x: x**0.3), VECTOR, middle=2.0),
    Case("power -2", of(lambda x: x**-2), VECTOR, middle=2.0),
    Case("sin", of(lambda x: (5 * x).sin()), VECTOR),
    Case("cos", of(lambda x: (5 * x).cos()), VECTOR, middle=7.0),
    Case("tan", of(torch.tan), VECTOR, eps=0.1),
    Case("sign", of(torch.sign), VECTOR),
    Case("floor", of(lambda x: (3 * x).floor()), VECTOR),
    Case("dropout", lambda: nn.Sequential(nn.Dropout(), nn.Tanh()), VECTOR),
    # comparisons and choices
    Case("greater", of(lambda x: (x > 0.1).float()), VECTOR),
    Case("greater or equal", of(lambda x: (x >= 0.1).float()), VECTOR),
    Case("less", of(lambda x: (x < 0.1).float()), VECTOR),
    Case("less or equal", of(lambda x: (x <= 0.1).float()), VECTOR),
    Case("greater than another", both(lambda x, y: (x > y).float()), VECTOR),
    Case("greater or equal to another", both(lambda x, y: (x >= y).float()), VECTOR),
    Case("less than another", both(lambda x, y: (x < y).float()), VECTOR),
    Case("less or equal to another", both(lambda x, y: (x <= y).float()), VECTOR),
    Case("maximum", both(torch.maximum), VECTOR),
    Case("minimum", both(torch.minimum), VECTOR),
    Case("maximum with a constant", constant(torch.maximum, (0.1, -0.1, 0.3, -0.5)), VECTOR),
    Case("clamp", of(lambda x: x.clamp(-0.3, 0.5)), VECTOR),
    Case("clamp from below", of(lambda x: x.clamp(min=0.1)), VECTOR),
    Case("clamp from above", of(lambda x: x.clamp(max=0.1)), VECTOR),
    Case("clamp by a tensor", constant(lambda x, c: x.clamp(min=c), (0.1, -0.1, 0.3, -0.5)), VECTOR),
    Case("amax", of(lambda x: x.amax(1)), (3, 4)),
    Case("amax over all", of(lambda x: x.amax((1, 2), keepdim=True)), (3, 4)),
    Case("amin", of(lambda x: x.amin(-1, keepdim=True)), (3, 4)),
    Case("max over an axis", of(lambda x: x.max(1).values), (3, 4)),
    Case("min over an axis", of(lambda x: x.min(2).values), (3, 4)),
    affine("where, constant mask", constant(lambda x, c: torch.where(c > 0, x, 2 * c - x)), VECTOR),
    Case("where, mask of the input", both(lambda x, y: torch.where(x > 0.1, y, 1 - y)), VECTOR),
    affine("masked_fill", constant(lambda x, c: x.masked_fill(c > 0, 0.5)), VECTOR),
    affine(
        "masked_fill by a tensor",
        constant(lambda x, c: x.masked_fill(c > 0, c.sum())),
        VECTOR,
    ),
    # arithmetic
    affine("add a number", of(lambda x: x + 1.5), VECTOR),
    affine("add a constant", constant(torch.add), VECTOR),
    affine("subtract a number", of(lambda x: x - 0.5), VECTOR),
    affine("subtract from a number", of(lambda x: 0.5 - x), VECTOR),
    affine("subtract from a constant", constant(lambda x, c: c - x), VECTOR),
    affine("rsub with a factor", constant(lambda x, c: torch.rsub(x, c, alpha=2)), VECTOR),
    affine("rsub of a number", of(lambda x: torch.rsub(x, 2, alpha=3)), VECTOR),
    affine("multiply by a number", of(lambda x: -2.5 * x), VECTOR),
    affine("multiply by a constant", constant(torch.mul), VECTOR),
    affine("multiply by a constant, broadcast", constant(lambda x, c: x.unsqueeze(1) * c.view(4, 1)), (3,)),
    affine("divide by a number", of(lambda x: x / -4), VECTOR),
    affine("divide by a constant", constant(torch.div), VECTOR),
    affine("negate", of(torch.neg), VECTOR),
    affine("add two", both(torch.add), VECTOR),
    affine("add two with a factor", both(lambda x, y: torch.add(x, y, alpha=-2)), VECTOR),
    affine("subtract two", both(torch.sub), VECTOR),
    affine("twice the same", of(lambda x: x + x - 3 * x), VECTOR),
    affine("less itself", of(lambda x: (x - x) + x), VECTOR),
    affine("add two, broadcast", of(lambda x: x + x.mean(1, keepdim=True)), (3, 4)),
    Case("multiply two", both(torch.mul), VECTOR),
    Case("multiply two, broadcast", of(lambda x: x * x.sum(1, keepdim=True)), (3, 4)),
    Case("divide two", both(lambda x, y: x / (y.tanh() + 2)), VECTOR),
    Case("divide a number", of(lambda x: 1 / x), VECTOR, middle=2.0),
    Case("divide a number by negatives", of(lambda x: 1 / x), VECTOR, middle=-2.0),
    Case("reciprocal", of(torch.reciprocal), VECTOR, middle=2.0),
    # reductions
    affine("sum", of(lambda x: x.sum((1, 3), keepdim=True)), IMAGE),
    affine("sum of all", of(lambda x: x.sum((1, 2, 3))), IMAGE),
    affine("mean", of(lambda x: x.mean(-1)), IMAGE),
    affine("cumsum", of(lambda x: x.cumsum(1)), (3, 4)),
    affine("cumsum from the end", of(lambda x: x.flip(-1).cumsum(-1)), (3, 4)),
    # softmax
    Case("softmax", of(lambda x: (3 * x).softmax(1)), VECTOR),
    Case("softmax over the middle axis", of(lambda x: x.softmax(1)), (3, 4)),
    Case("log_softmax", of(lambda x: (3 * x).log_softmax(-1)), VECTOR),
    Case("logsumexp", of(lambda x: (3 * x).logsumexp((1, 2))), (3, 4)),
    Case("logsumexp, keepdim", of(lambda x: x.logsumexp(1, keepdim=True)), (3, 4)),
    Case("attention", Attention, (3, 4)),
    Case("attention, causal", lambda: Attention(causal=True), (3, 4)),
    # shape
    affine("flatten", nn.Flatten, IMAGE),
    affine("view", of(lambda x: x.view(-1, 5, 10)), IMAGE),
    affine("reshape, batch folded in", of(lambda x: (x.reshape(-1, 5) * 2).view(-1, 2, 5, 5)), IMAGE),
    affine("permute", of(lambda x: x.permute(0, 3, 1, 2)), (2, 3, 4)),
    affine("permute, then view", of(lambda x: x.permute(0, 2, 1).reshape(-1, 12)), (3, 4)),
    affine("batch second", of(lambda x: x.transpose(0, 1).cumsum(0).transpose(0, 1)), (3, 4)),
    affine("expand", of(lambda x: x.unsqueeze(1).expand(-1, 3, -1)), VECTOR),
    affine("cat", of(lambda x: torch.cat([x, 2 * x, -x], 1)), (3, 4)),
    affine("cat along the last axis", of(lambda x: torch.cat([x, 2 * x], -1)), (3, 4)),
    affine("cat with a constant", constant(lambda x, c: torch.cat([x, c.expand(len(x), 4)], 1)), VECTOR),
    affine("stack", of(lambda x: torch.stack([x, 3 * x], 1)), VECTOR),
    affine("pad", of(lambda x: F.pad(x, (1, 0, 2, 1))), IMAGE),
    affine("pad with a value", of(lambda x: F.pad(x, (1, 2), value=0.7)), (3, 4)),
    affine("pad with less", of(lambda x: F.pad(x, (-1, 2))), (3, 4)),
    affine("pad by reflection, 1d", lambda: nn.ReflectionPad1d((1, 2)), (2, 4)),
    affine("pad by reflection, 2d", lambda: nn.ReflectionPad2d((1, 2, 0, 1)), (2, 3, 4)),
    affine("pad by replication", lambda: nn.ReplicationPad2d((1, 2, 0, 1)), (2, 3, 4)),
    affine("split", of(lambda x: torch.cat(x.split(2, 2)[::-1], 2)), (3, 5)),
    affine("split by sizes", of(lambda x: x.split([1, 3], 1)[1]), VECTOR),
    affine("chunk", of(lambda x: x.chunk(2, 1)[0] - x.chunk(2, 1)[1]), VECTOR),
    affine("unbind", of(lambda x: x.unbind(1)[0] - 2 * x.unbind(1)[2]), (3, 4)),
    affine("slice", of(lambda x: x[:, 1:, ::2]), (3, 5)),
    affine("select", of(lambda x: x[:, -1]), (3, 4)),
    affine("squeeze", of(lambda x: x[:, :1].squeeze(1)), (3, 4)),
    affine("unsqueeze", of(lambda x: x.unsqueeze(-1)), VECTOR),
    affine("repeat", of(lambda x: x.repeat(1, 2)), VECTOR),
    affine("repeat along two axes", of(lambda x: x.repeat(1, 2, 3)), (2, 3)),
    affine("repeat_interleave", of(lambda x: x.repeat_interleave(2, 1)), VECTOR),
    affine("flip", of(lambda x: x.flip(1, 2)), (3, 4)),
    affine("roll", of(lambda x: x.roll((1, -2), (1, 2))), (3, 4)),
    affine("contiguous", of(lambda x: x.transpose(1, 2).contiguous().clone()), (3, 4)),
    affine("identity", nn.Identity, VECTOR),
    # indexing and resampling
    affine("gather", indexed(lambda x, i: x.gather(1, i.expand(len(x), 3)), 2, 0, 2), VECTOR),
    affine("index_select", indexed(lambda x, i: x.index_select(2, i), 3, 1, 1), (2, 4)),
    affine("index", indexed(lambda x, i: x[:, i], 2, 0, 2), (3, 4)),
    affine("tril", of(torch.tril), (3, 3)),
    affine("triu", of(lambda x: x.triu(1)), (3, 3)),
    affine("upsample, nearest", lambda: nn.Upsample(scale_factor=2), (2, 2, 3)),
    affine("upsample, bilinear", lambda: nn.Upsample(size=(5, 4), mode="bilinear"), (1, 3, 3)),
    affine("pixel_shuffle", lambda: nn.PixelShuffle(2), (4, 2, 3)),
    affine("pixel_unshuffle", lambda: nn.PixelUnshuffle(2), (1, 4, 2)),
    # exponentials, logarithms, hyperbolic functions and inverses
    Case("expm1", of(torch.expm1), VECTOR),
    Case("log1p", of(torch.log1p), VECTOR, middle=0.5),
    Case("exp2", of(torch.exp2), VECTOR),
    Case("log2", of(torch.log2), VECTOR, middle=2.0),
    Case("log10", of(torch.log10), VECTOR, middle=2.0),
    Case("sinh", of(torch.sinh), VECTOR),
    Case("cosh", of(torch.cosh), VECTOR),
    Case("asinh", of(lambda x: (3 * x).asinh()), VECTOR),
    Case("acosh", of(torch.acosh), VECTOR, middle=2.5),
    Case("atanh", of(lambda x: (x / 2).atanh()), VECTOR),
    Case("asin", of(lambda x: (x / 2).asin()), VECTOR),
    Case("acos", of(lambda x: (x / 2).acos()), VECTOR),
    Case("atan2", both(lambda x, y: torch.atan2(x, y.exp())), VECTOR),
    Case("atan2, behind", both(lambda x, y: torch.atan2(x.exp(), -y.exp())), VECTOR),
    Case("atan2 with constants", constant(torch.atan2), VECTOR),
    Case("erfc", of(torch.erfc), VECTOR),
    Case("erfinv", of(lambda x: (x / 2).erfinv()), VECTOR),
    Case("sinc", of(lambda x: (3 * x).sinc()), VECTOR),
    Case("logit", of(lambda x: (x / 4 + 0.5).logit()), VECTOR),
    Case("logit, clamped", of(lambda x: (x + 0.5).logit(eps=0.1)), VECTOR),
    Case("entropy", of(torch.special.entr), VECTOR, middle=1.5),
    Case("power of a number", of(lambda x: 3**x), VECTOR),
    Case("power of a fraction", of(lambda x: 0.3**x), VECTOR),
    Case("powers, constant", constant(torch.pow, (2.0, -1.0, 0.5, 3.0)), VECTOR, middle=2.0),
    Case("powers of a constant", constant(lambda x, c: c.abs() ** x), VECTOR),
    Case("power of two", of(lambda x: x**x), VECTOR, middle=2.0),
    # thresholds, rounding and remainders
    Case("threshold", of(lambda x: F.threshold(x, 0.1, -2.0)), VECTOR),
    Case("hardshrink", nn.Hardshrink, VECTOR),
    Case("softshrink", nn.Softshrink, VECTOR),
    Case("rrelu", nn.RReLU, VECTOR),
    Case("tanhshrink", nn.Tanhshrink, VECTOR),
    Case("softsign", nn.Softsign, VECTOR),
    Case("ceil", of(lambda x: (2.9 * x).ceil()), VECTOR),
    Case("trunc", of(lambda x: (2.9 * x).trunc()), VECTOR),
    Case("round", of(lambda x: (2.9 * x).round()), VECTOR),
    Case("round to decimals", of(lambda x: x.round(decimals=1)), VECTOR),
    Case("fraction", of(lambda x: (2.9 * x).frac()), VECTOR),
    Case("remainder", of(lambda x: x % 0.7), VECTOR),
    Case("remainder, constant", constant(torch.remainder), VECTOR),
    Case("fmod", of(lambda x: x.fmod(0.7)), VECTOR),
    Case("fmod, constant", constant(torch.fmod), VECTOR),
    Case("floor division", of(lambda x: x.detach() // 0.3), VECTOR),
    Case("division, floored", of(lambda x: torch.div(x, 0.3, rounding_mode="floor")), VECTOR),
    Case("division, truncated", of(lambda x: torch.div(x, 0.3, rounding_mode="trunc")), VECTOR),
    Case("aten.div.Scalar_mode", of(lambda x: aten.div.Scalar_mode(x, 0.3, rounding_mode="floor")), VECTOR),
    Case("equal", of(lambda x: (x.relu() == 0).float()), VECTOR),
    Case("not equal", of(lambda x: (x.relu() != 0).float()), VECTOR),
    Case("equal to another", both(lambda x, y: (x.relu() == y.relu()).float()), VECTOR),
    Case("not equal to another", both(lambda x, y: (x.relu() != y.relu()).float()), VECTOR),
    Case("logical_not", of(lambda x: torch.logical_not(x.relu()).float()), VECTOR),
    Case("logical_and", both(lambda x, y: torch.logical_and(x > 0, y > 0).float()), VECTOR),
    Case("logical_or", both(lambda x, y: torch.logical_or(x > 0, y > 0).float()), VECTOR),
    Case("logical_xor", both(lambda x, y: torch.logical_xor(x > 0, y > 0).float()), VECTOR),
    Case(
        "logical_and with a constant", constant(lambda x, c: torch.logical_and(x > 0, c > 0).float()), VECTOR
    ),
    Case("any", of(lambda x: (x > 0).any(1).float()), (3, 2)),
    Case("any over two axes", of(lambda x: (x > 0).any((1, 2)).float()), (3, 2)),
    Case("all", of(lambda x: (x > 0).all(1, keepdim=True).float()), (2, 3)),
    Case("all over two axes", of(lambda x: (x > 0).all((1, 2)).float()), (2, 2)),
    Case("nan_to_num", of(lambda x: x.tanh().nan_to_num()), VECTOR),
    Case(
        "isnan and isinf",
        of(lambda x: torch.where(x.isnan(), 0.0, torch.where(x.isinf(), 1.0, x.tanh()))),
        VECTOR,
    ),
    Case("copysign", constant(torch.copysign), VECTOR),
    # pairs
    Case("logaddexp", both(torch.logaddexp), VECTOR),
    Case("logaddexp with a constant", constant(torch.logaddexp), VECTOR),
    Case("logaddexp2", both(torch.logaddexp2), VECTOR),
    Case("xlogy", both(lambda x, y: torch.xlogy(x, y.exp())), VECTOR),
    Case("xlogy of itself", of(lambda x: torch.xlogy(x, x)), VECTOR, middle=1.5),
    Case("xlogy with a number", of(lambda x: torch.xlogy(x, 3.0) - torch.xlogy(2.0, x + 2)), VECTOR),
    Case("xlog1py", both(lambda x, y: torch.special.xlog1py(x, y.exp())), VECTOR),
    Case("hypot", both(torch.hypot), VECTOR),
    Case("hypot with a constant", constant(torch.hypot), VECTOR),
    Case("fmax", both(torch.fmax), VECTOR),
    Case("fmin", both(torch.fmin), VECTOR),
    affine("lerp", both(lambda x, y: x.lerp(y, 0.3)), VECTOR),
    Case("lerp by another", both(lambda x, y: x.lerp(y, y.sigmoid())), VECTOR),
    affine("addcmul", constant(lambda x, c: torch.addcmul(x, x, c, value=2.0)), VECTOR),
    Case("addcdiv", both(lambda x, y: torch.addcdiv(x, y, x.exp(), value=2.0)), VECTOR),
    Case("bilinear", lambda: Both(nn.Linear(4, 3), nn.Linear(4, 2), nn.Bilinear(3, 2, 3)), VECTOR, eps=0.1),
    Case("cosine similarity", both(lambda x, y: F.cosine_similarity(x, y + 2)), VECTOR, eps=0.1),
    Case("cdist", of(lambda x: torch.cdist(x, x.flip(1).tanh() + 3)), (3, 2), eps=0.1),
    Case("cdist to constants", constant(lambda x, c: torch.cdist(x, c.view(1, 2, 2), p=1.0)), (3, 2)),
    Case("vector norm, 3", of(lambda x: torch.linalg.vector_norm(x, 3, dim=1)), VECTOR),
    Case("variance and mean", of(lambda x: torch.cat(torch.var_mean(x, 1, keepdim=True), 1)), (3, 4)),
    # products along axes, and sorting
    Case("prod", of(lambda x: x.prod(1)), (3, 2), middle=1.0),
    Case("prod, keepdim", of(lambda x: x.prod(2, keepdim=True)), (2, 5), middle=1.0),
    Case("cumprod", of(lambda x: x.cumprod(1)), (3, 2), middle=1.0),
    Case("logcumsumexp", of(lambda x: x.logcumsumexp(1)), VECTOR),
    Case("cummax", of(lambda x: x.cummax(1).values), (3, 2)),
    Case("cummin", of(lambda x: x.cummin(2).values), (2, 3)),
    Case("sort", of(lambda x: x.sort(1).values), VECTOR),
    Case("sort, descending", of(lambda x: x.sort(1, descending=True).values), (3, 2)),
    Case("sort, stable", of(lambda x: x.sort(stable=True, dim=1).values), VECTOR),
    Case("aten.sort", of(lambda x: aten.sort.default(x, 1)[0]), VECTOR),
    Case("topk", of(lambda x: x.topk(2, 1).values), VECTOR),
    Case("topk, least", of(lambda x: x.topk(2, 2, largest=False).values), (2, 4)),
    Case("kthvalue", of(lambda x: x.kthvalue(2, 1).values), VECTOR),
    Case("median", of(lambda x: x.median(1).values), (4, 2)),
    # writing at constant places, and views
    affine("scatter", indexed(lambda x, i: x.scatter(1, i.expand(len(x), 2), 2 * x[:, :2]), 3, 1), VECTOR),
    affine(
        "scatter into zeros",
        indexed(lambda x, i: torch.zeros(len(x), 7).scatter(1, i.expand(len(x), 4), x), 6, 0, 3, 1),
        VECTOR,
    ),
    affine("scatter a value", indexed(lambda x, i: x.scatter(1, i.expand(len(x), 3), 0.5), 2, 0, 2), VECTOR),
    affine(
        "scatter_add", indexed(lambda x, i: x.scatter_add(1, i.expand(len(x), 3), x[:, :3]), 2, 0, 2), VECTOR
    ),
    Case("scatter by adding", indexed(lambda x, i: _scattered(x, i, "add"), 2, 0), VECTOR),
    Case("scatter by multiplying", indexed(lambda x, i: _scattered(x, i, "multiply"), 2, 0), VECTOR),
    affine(
        "scatter_reduce, mean",
        indexed(lambda x, i: x.scatter_reduce(1, i.expand(len(x), 3), x[:, :3], "mean"), 2, 0, 2),
        VECTOR,
    ),
    affine("index_put", indexed(lambda x, i: _with_entries(x, i, 2 * x[:, :2]), 3, 1), VECTOR),
    affine("index_add", indexed(lambda x, i: x.index_add(1, i, x[:, :3], alpha=2), 2, 0, 2), VECTOR),
    affine("index_copy", indexed(lambda x, i: x.index_copy(2, i, -x[:, :, :2]), 2, 0), (2, 3)),
    affine("index_fill", indexed(lambda x, i: x.index_fill(1, i, 0.5), 2, 0), VECTOR),
    affine("assignment to a slice", of(lambda x: _with_slice(x, 2 * x[:, :2])), VECTOR),
    affine("slice_scatter", of(lambda x: x.slice_scatter(x[:, :2] - 1, 1, 0, 4, 2)), VECTOR),
    affine("select_scatter", of(lambda x: x.select_scatter(2 * x[:, 0], 1, -1)), (3, 2)),
    affine("diagonal_scatter", of(lambda x: x.diagonal_scatter(2 * x[:, 0], 0, 1, 2)), (3, 3)),
    affine("diagonal", of(lambda x: x.diagonal(1, 1, 2)), (3, 4)),
    affine("diag_embed", of(lambda x: x.diag_embed()), (3,)),
    affine("unfold", of(lambda x: x.unfold(1, 2, 1)), VECTOR),
    affine("im2col", of(lambda x: F.unfold(x, 2, stride=2, padding=1)), (2, 3, 4)),
    affine("col2im", of(lambda x: F.fold(x, (3, 3), 2)), (8, 4)),
    affine("pad around, 1d", of(lambda x: F.pad(x, (1, 2), mode="circular")), (2, 4)),
    affine("pad around, 2d", of(lambda x: F.pad(x, (1, 2, 0, 1), mode="circular")), (2, 3, 4)),
    affine("pad around, 3d", of(lambda x: F.pad(x, (1, 0, 0, 1, 1, 1), mode="circular")), (1, 2, 2, 3)),
    affine("grid_sample", lambda: PerFeature(0.6 * torch.randn(1, 3, 2, 2), _sampled), (2, 3, 4)),
    affine("grid_sample, nearest", lambda: PerFeature(0.6 * torch.randn(1, 3, 2, 2), _nearest), (2, 3, 4)),
    affine("grid_sample, 3d", lambda: PerFeature(0.6 * torch.randn(1, 2, 2, 1, 3), _sampled), (1, 2, 3, 2)),
    affine("avg_pool2d, negative divisor", lambda: nn.AvgPool2d(2, divisor_override=-3), IMAGE),
    # overloads that no layer of this torch version leaves in a graph, called by name
    affine("aten.add.Scalar", of(lambda x: aten.add.Scalar(x, 2, 3)), VECTOR),
    affine("aten.sub.Scalar", of(lambda x: aten.sub.Scalar(x, 2, 3)), VECTOR),
    affine("aten.mul.Scalar", of(lambda x: aten.mul.Scalar(x, -2)), VECTOR),
    affine("aten.div.Scalar", of(lambda x: aten.div.Scalar(x, -2)), VECTOR),
    affine("aten.mm", of(lambda x: aten.mm(x, torch.ones(4, 3))), VECTOR),
    affine("aten.t", of(lambda x: aten.t(2 * aten.t(x))), VECTOR),
    affine("aten.squeeze", of(lambda x: aten.squeeze.default(3 * x).view(-1, 4)), VECTOR),
    affine("aten.squeeze.dims", of(lambda x: aten.squeeze.dims(x[:, :1, :1], [1, 2])), (3, 4)),
    affine("aten.alias", of(lambda x: aten.alias(2 * x)), VECTOR),
    Case("aten.detach", of(lambda x: aten.detach(2 * x)), VECTOR),  # affine, but has no gradient to show it
    Case("zeros_like", of(lambda x: torch.zeros_like(x[:, :2]) + x[:, 1:3].tanh()), VECTOR),
    Case("ones_like", of(lambda x: torch.ones_like(x) - x.tanh()), VECTOR),
    Case("full_like", of(lambda x: torch.full_like(x, 2.0) * x.tanh()), VECTOR),
    Case("new_zeros", of(lambda x: x.new_zeros((len(x), 4)) + x.tanh()), VECTOR),
    Case("aten.zeros_like", of(lambda x: aten.zeros_like(x) + x.tanh()), VECTOR),
    Case("aten.ones_like", of(lambda x: aten.ones_like(x) + x.tanh()), VECTOR),
    Case("aten.new_zeros", of(lambda x: aten.new_zeros(x, [1, 4]) + x.tanh()), VECTOR),
    Case("aten.new_ones", of(lambda x: aten.new_ones(x, [1, 4]) + x.tanh()), VECTOR),
    Case("aten.new_full", of(lambda x: aten.new_full(x, [1, 4], 2.0) + x.tanh()), VECTOR),
    Case("aten.clamp_max", of(lambda x: aten.clamp_max(x, 0.1)), VECTOR),
    Case("aten.norm", of(lambda x: aten.norm.ScalarOpt_dim(x, 2, [1], True)), VECTOR, middle=2.0),
    Case("aten._prelu_kernel", constant(aten._prelu_kernel), VECTOR),
    Case("aten.log_sigmoid_forward", of(lambda x: aten.log_sigmoid_forward(x)[0]), VECTOR),
    Case("aten._softmax", of(lambda x: aten._softmax(x, 1, False)), VECTOR),
    Case("aten._log_softmax", of(lambda x: aten._log_softmax(x, 1, False)), VECTOR),
    Case(
        "aten.native_layer_norm",
        constant(lambda x, c: aten.native_layer_norm(x, [4], c, c + 1, 1e-5)[0]),
        (3, 4),
    ),
]

_DECOMPOSED = "torch.export replaces it by others of the table"
_MIXES = "it reduces the batch too, which tracing refuses; left over where the batch axis is folded away"
UNREACHED = {
    "aten.reshape.default": _DECOMPOSED,
    "aten.flatten.using_ints": _DECOMPOSED,
    "aten.contiguous.default": _DECOMPOSED,
    "aten.dropout.default": _DECOMPOSED,
    "aten.lift_fresh_copy.default": "it stands behind constants alone",
    "aten.mean.default": _MIXES,
    "aten.max.default": _MIXES,
    "aten.min.default": _MIXES,
}
"""Operators of the table that no case reaches, each with its reason."""


NETWORKS = [
    Case(
        "relu mlp",
        lambda: nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 3)),
        (5,),
    ),
    Case(
        "tanh mlp",
        lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 3)),
        (4,),
    ),
    Case(
        "conv net",
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(3, 4, 3, stride=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 3, 2),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(12, 3),
        ),
        (1, 7, 7),
        eps=0.1,
    ),
    Case(
        "residual net",
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1),
            nn.ReLU(),
            Residual(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1))),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 3),
        ),
        (2, 5, 5),
        eps=0.1,
    ),
    Case(
        "pooled net",
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3),
            nn.Tanh(),
            nn.MaxPool2d(2, stride=1),
            nn.AvgPool2d(2, stride=1),
            nn.Flatten(1),
            nn.Linear(12, 3),
        ),
        (1, 6, 6),
    ),
    Case(
        "bilinear net",
        lambda: nn.Sequential(
            nn.Linear(4, 6),
            Both(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(6, 5), torch.mul),
            nn.Linear(5, 3),
        ),
        (4,),
        eps=0.1,
    ),
    Case(
        "transformer block",
        lambda: nn.Sequential(
            Attention(), nn.LayerNorm(4), nn.Linear(4, 6), nn.GELU(), nn.Flatten(), nn.Linear(18, 3)
        ),
        (3, 4),
        eps=0.05,
    ),
]
