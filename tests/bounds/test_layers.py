"""Every layer of torch.nn: bounded, or refused by name; a layer that a new torch brings fails here until it is placed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.errors import RobustsuiteError
from robustsuite.perturbations import Linf

from .cases import METHODS, Applied, Case, Method, normed
from .search import assert_encloses, extremes

Make = Callable[[], nn.Module]


class First(nn.Module):
    """The first result of a module that gives several, with the example's shape in front."""

    def __init__(self, module: nn.Module, *given: Tensor, copies: int = 1) -> None:
        super().__init__()
        self.module, self._given, self._copies = module, given, copies

    def forward(self, x: Tensor) -> Tensor:
        given = [t.expand(*t.shape[:-2], len(x), t.shape[-1]) if t.dim() > 2 else t for t in self._given]
        result = self.module(*(x for _ in range(self._copies)), *given)
        while isinstance(result, tuple):
            result = result[0]
        assert isinstance(result, Tensor)
        return result


def pair(module: nn.Module) -> nn.Module:
    """Give a layer of two inputs the two halves of one."""
    return Applied(lambda x: module(*x.chunk(2, 1)))


LINE, VECTOR, SEQUENCE, IMAGE, VOLUME = (2, 6), (4,), (3, 4), (2, 4, 4), (1, 3, 3, 3)
BOUNDED: dict[str, list[tuple[Make, tuple[int, ...]]]] = {
    "AdaptiveAvgPool1d": [(lambda: nn.AdaptiveAvgPool1d(4), LINE)],
    "AdaptiveAvgPool2d": [(lambda: nn.AdaptiveAvgPool2d((3, 2)), IMAGE)],
    "AdaptiveAvgPool3d": [(lambda: nn.AdaptiveAvgPool3d(2), VOLUME)],
    "AdaptiveLogSoftmaxWithLoss": [
        (lambda: Applied(nn.AdaptiveLogSoftmaxWithLoss(4, 6, [2, 4]).requires_grad_(False).log_prob), VECTOR)
    ],
    "AdaptiveMaxPool1d": [(lambda: nn.AdaptiveMaxPool1d(4), LINE)],
    "AdaptiveMaxPool2d": [(lambda: nn.AdaptiveMaxPool2d((3, 2)), IMAGE)],
    "AdaptiveMaxPool3d": [(lambda: nn.AdaptiveMaxPool3d(2), VOLUME)],
    "AvgPool1d": [(lambda: nn.AvgPool1d(2, padding=1), LINE)],
    "AvgPool2d": [(lambda: nn.AvgPool2d(2, ceil_mode=True), (2, 5, 5))],
    "AvgPool3d": [(lambda: nn.AvgPool3d(2), VOLUME)],
    "BatchNorm1d": [(lambda: nn.BatchNorm1d(4), VECTOR), (lambda: nn.BatchNorm1d(2), LINE)],
    "BatchNorm2d": [(lambda: nn.BatchNorm2d(2), IMAGE)],
    "BatchNorm3d": [(lambda: nn.BatchNorm3d(1), VOLUME)],
    "SyncBatchNorm": [(lambda: nn.SyncBatchNorm(2), IMAGE)],
    "Bilinear": [(lambda: pair(nn.Bilinear(2, 2, 3).requires_grad_(False)), VECTOR)],
    "CELU": [(lambda: nn.CELU(-0.5), VECTOR)],
    "ChannelShuffle": [(lambda: nn.ChannelShuffle(2), (4, 2, 2))],
    "CircularPad1d": [(lambda: nn.CircularPad1d((1, 2)), LINE)],
    "CircularPad2d": [(lambda: nn.CircularPad2d((1, 2, 0, 1)), IMAGE)],
    "CircularPad3d": [(lambda: nn.CircularPad3d(1), VOLUME)],
    "ConstantPad1d": [(lambda: nn.ConstantPad1d((1, 2), 0.5), LINE)],
    "ConstantPad2d": [(lambda: nn.ConstantPad2d((1, -1, 0, 1), 0.5), IMAGE)],
    "ConstantPad3d": [(lambda: nn.ConstantPad3d(1, 0.5), VOLUME)],
    "Conv1d": [
        (lambda: nn.Conv1d(2, 2, 3, padding="same"), LINE),
        (lambda: nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular"), LINE),
    ],
    "Conv2d": [
        (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), IMAGE),
        (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="replicate"), IMAGE),
        (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), IMAGE),
    ],
    "Conv3d": [(lambda: nn.Conv3d(1, 2, 2), VOLUME)],
    "ConvTranspose1d": [(lambda: nn.ConvTranspose1d(2, 2, 3, stride=2), LINE)],
    "ConvTranspose2d": [(lambda: nn.ConvTranspose2d(2, 2, 2, stride=2), IMAGE)],
    "ConvTranspose3d": [(lambda: nn.ConvTranspose3d(1, 1, 2), VOLUME)],
    "CosineSimilarity": [(lambda: pair(nn.CosineSimilarity()), VECTOR)],
    "Dropout": [(lambda: nn.Sequential(nn.Dropout(), nn.Tanh()), VECTOR)],
    "Dropout1d": [(lambda: nn.Sequential(nn.Dropout1d(), nn.Tanh()), LINE)],
    "Dropout2d": [(lambda: nn.Sequential(nn.Dropout2d(), nn.Tanh()), IMAGE)],
    "Dropout3d": [(lambda: nn.Sequential(nn.Dropout3d(), nn.Tanh()), VOLUME)],
    "AlphaDropout": [(lambda: nn.Sequential(nn.AlphaDropout(), nn.Tanh()), VECTOR)],
    "FeatureAlphaDropout": [(lambda: nn.Sequential(nn.FeatureAlphaDropout(), nn.Tanh()), LINE)],
    "ELU": [(lambda: nn.ELU(-1.5), VECTOR)],
    "Flatten": [(nn.Flatten, IMAGE)],
    "Fold": [(lambda: nn.Fold((3, 3), 2), (4, 4))],
    "GELU": [(nn.GELU, VECTOR), (lambda: nn.GELU("tanh"), VECTOR)],
    "GLU": [(lambda: nn.GLU(1), VECTOR)],
    "GRU": [(lambda: First(nn.GRU(4, 2, num_layers=2, batch_first=True, bidirectional=True)), SEQUENCE)],
    "GRUCell": [(lambda: nn.GRUCell(4, 3), VECTOR)],
    "GroupNorm": [(lambda: nn.GroupNorm(2, 4), (4, 3))],
    "Hardshrink": [(nn.Hardshrink, VECTOR)],
    "Hardsigmoid": [(nn.Hardsigmoid, VECTOR)],
    "Hardswish": [(nn.Hardswish, VECTOR)],
    "Hardtanh": [(lambda: nn.Hardtanh(-0.2, 0.3), VECTOR)],
    "Identity": [(lambda: nn.Sequential(nn.Identity(), nn.Tanh()), VECTOR)],
    "InstanceNorm1d": [(lambda: nn.InstanceNorm1d(2, affine=True), LINE)],
    "InstanceNorm2d": [(lambda: nn.InstanceNorm2d(2), IMAGE)],
    "InstanceNorm3d": [(lambda: nn.InstanceNorm3d(1), VOLUME)],
    "LPPool1d": [(lambda: nn.LPPool1d(2, 3), LINE)],
    "LPPool2d": [(lambda: nn.LPPool2d(2, 2), IMAGE)],
    "LPPool3d": [(lambda: nn.LPPool3d(2, 2), VOLUME)],
    "LSTM": [
        (lambda: First(nn.LSTM(4, 3, batch_first=True)), SEQUENCE),
        (lambda: First(nn.LSTM(4, 3, batch_first=True, proj_size=2, bidirectional=True)), SEQUENCE),
    ],
    "LSTMCell": [(lambda: First(nn.LSTMCell(4, 3)), VECTOR)],
    "LayerNorm": [(lambda: normed(nn.LayerNorm(4), weight=1.0, bias=1.0), SEQUENCE)],
    "LeakyReLU": [(lambda: nn.LeakyReLU(-0.2), VECTOR)],
    "Linear": [(lambda: nn.Linear(4, 3), VECTOR)],
    "LocalResponseNorm": [(lambda: nn.LocalResponseNorm(2), (4, 3, 2))],
    "LogSigmoid": [(nn.LogSigmoid, VECTOR)],
    "LogSoftmax": [(lambda: nn.LogSoftmax(1), VECTOR)],
    "MaxPool1d": [(lambda: nn.MaxPool1d(2, stride=1, padding=1), LINE)],
    "MaxPool2d": [(lambda: nn.MaxPool2d(2, ceil_mode=True), (2, 5, 5))],
    "MaxPool3d": [(lambda: nn.MaxPool3d(2), VOLUME)],
    "Mish": [(nn.Mish, VECTOR)],
    "MultiheadAttention": [
        (lambda: First(nn.MultiheadAttention(4, 2, batch_first=True), copies=3), SEQUENCE)
    ],
    "PReLU": [(lambda: nn.PReLU(4), VECTOR)],
    "PairwiseDistance": [(lambda: pair(nn.PairwiseDistance(keepdim=True)), VECTOR)],
    "PixelShuffle": [(lambda: nn.PixelShuffle(2), (4, 2, 2))],
    "PixelUnshuffle": [(lambda: nn.PixelUnshuffle(2), (1, 4, 2))],
    "RMSNorm": [(lambda: normed(nn.RMSNorm(4), weight=1.0), SEQUENCE)],
    "RNN": [
        (lambda: First(nn.RNN(4, 3, batch_first=True, nonlinearity="relu")), SEQUENCE),
        (lambda: First(nn.RNN(4, 3, batch_first=True, bidirectional=True)), SEQUENCE),
    ],
    "RNNCell": [(lambda: nn.RNNCell(4, 3), VECTOR)],
    "RReLU": [(nn.RReLU, VECTOR)],
    "ReLU": [(nn.ReLU, VECTOR)],
    "ReLU6": [(lambda: nn.ReLU6(), VECTOR)],
    "ReflectionPad1d": [(lambda: nn.ReflectionPad1d((1, 2)), LINE)],
    "ReflectionPad2d": [(lambda: nn.ReflectionPad2d((1, 2, 0, 1)), IMAGE)],
    "ReflectionPad3d": [(lambda: nn.ReflectionPad3d(1), VOLUME)],
    "ReplicationPad1d": [(lambda: nn.ReplicationPad1d((1, 2)), LINE)],
    "ReplicationPad2d": [(lambda: nn.ReplicationPad2d((1, 2, 0, 1)), IMAGE)],
    "ReplicationPad3d": [(lambda: nn.ReplicationPad3d(1), VOLUME)],
    "SELU": [(nn.SELU, VECTOR)],
    "SiLU": [(nn.SiLU, VECTOR)],
    "Sigmoid": [(nn.Sigmoid, VECTOR)],
    "Softmax": [(lambda: nn.Softmax(1), VECTOR)],
    "Softmax2d": [(nn.Softmax2d, IMAGE)],
    "Softmin": [(lambda: nn.Softmin(1), VECTOR)],
    "Softplus": [(lambda: nn.Softplus(-1.0), VECTOR), (lambda: nn.Softplus(1.0, 0.3), VECTOR)],
    "Softshrink": [(lambda: nn.Softshrink(0.2), VECTOR)],
    "Softsign": [(nn.Softsign, VECTOR)],
    "Tanh": [(nn.Tanh, VECTOR)],
    "Tanhshrink": [(nn.Tanhshrink, VECTOR)],
    "Threshold": [(lambda: nn.Threshold(0.1, -0.5), VECTOR)],
    "TransformerEncoderLayer": [
        (lambda: nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, norm_first=True), SEQUENCE)
    ],
    "TransformerEncoder": [
        (
            lambda: nn.TransformerEncoder(
                nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, activation="gelu"),
                1,
                enable_nested_tensor=False,
            ),
            SEQUENCE,
        )
    ],
    "TransformerDecoderLayer": [
        (lambda: First(nn.TransformerDecoderLayer(4, 2, 6, batch_first=True), copies=2), SEQUENCE)
    ],
    "TransformerDecoder": [
        (
            lambda: First(
                nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 1, 4, batch_first=True), 1), copies=2
            ),
            SEQUENCE,
        )
    ],
    "Transformer": [
        (lambda: First(nn.Transformer(4, 1, 1, 1, 4, batch_first=True), copies=2), (2, 4)),
    ],
    "Unflatten": [(lambda: nn.Unflatten(1, (2, 2)), VECTOR)],
    "Unfold": [(lambda: nn.Unfold(2), IMAGE)],
    "Upsample": [
        (lambda: nn.Upsample(scale_factor=2), LINE),
        (lambda: nn.Upsample(scale_factor=1.5, mode="linear"), LINE),
        (lambda: nn.Upsample(size=(5, 3), mode="bilinear", align_corners=True), IMAGE),
        (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (1, 3, 3)),
        (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), (1, 2, 2, 2)),
    ],
    "UpsamplingBilinear2d": [(lambda: nn.UpsamplingBilinear2d(scale_factor=2), IMAGE)],
    "UpsamplingNearest2d": [(lambda: nn.UpsamplingNearest2d(scale_factor=2), IMAGE)],
    "ZeroPad1d": [(lambda: nn.ZeroPad1d(1), LINE)],
    "ZeroPad2d": [(lambda: nn.ZeroPad2d((1, -1, 0, 1)), IMAGE)],
    "ZeroPad3d": [(lambda: nn.ZeroPad3d(1), VOLUME)],
}
REFUSED: dict[str, tuple[Make, tuple[int, ...], str]] = {
    "CrossMapLRN2d": (lambda: nn.CrossMapLRN2d(2), IMAGE, "captured"),
    "FractionalMaxPool2d": (lambda: nn.FractionalMaxPool2d(2, 2), IMAGE, "random"),
    "FractionalMaxPool3d": (lambda: nn.FractionalMaxPool3d(2, 2), VOLUME, "fractional_max_pool3d|random"),
    "MaxUnpool1d": (lambda: Applied(lambda x: _unpooled(x, 1)), LINE, "indices"),
    "MaxUnpool2d": (lambda: Applied(lambda x: _unpooled(x, 2)), IMAGE, "indices"),
    "MaxUnpool3d": (lambda: Applied(lambda x: _unpooled(x, 3)), (1, 2, 2, 2), "indices"),
}
_LOSSES = {name for name in vars(nn) if name.endswith("Loss") or name in ("NLLLoss2d",)}
_HOLDERS = {
    "Container",
    "DataParallel",
    "Module",
    "ModuleDict",
    "ModuleList",
    "ParameterDict",
    "ParameterList",
}
_HOLDERS |= {"Sequential", "RNNBase", "RNNCellBase"}
_WHOLE_NUMBERS = {"Embedding", "EmbeddingBag"}


def _unpooled(x: Tensor, dims: int) -> Tensor:
    pool = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[dims - 1](2, return_indices=True)
    y = (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d)[dims - 1](2)(*pool(x))
    assert isinstance(y, Tensor)
    return y


def test_every_layer_is_placed() -> None:
    layers = {n for n, v in vars(nn).items() if inspect.isclass(v) and issubclass(v, nn.Module)}
    others = _LOSSES | _HOLDERS | _WHOLE_NUMBERS | {name for name in layers if name.startswith("Lazy")}
    assert not layers - set(BOUNDED) - set(REFUSED) - others
    assert not (set(BOUNDED) | set(REFUSED)) - layers


CASES = [
    Case(f"{name} {i}" if i else name, make, shape, eps=0.05)
    for name, layers in BOUNDED.items()
    for i, (make, shape) in enumerate(layers)
]


LONG = ("GRU", "LSTM", "RNN", "Transformer", "AdaptiveLogSoftmaxWithLoss")


def _check(case: Case, methods: Sequence[Method]) -> None:
    module, x = case.module(), case.inputs()
    net, region = bounds.trace(module, x), Linf(case.eps).around(x)
    found = extremes(module, region, samples=10, corners=10, steps=3)
    for method in methods:
        assert_encloses(method.call(net, region), found, hint=str(method))


@pytest.mark.parametrize("case", [case for case in CASES if not case.name.startswith(LONG)][::8], ids=str)
def test_layers_are_bounded(case: Case) -> None:
    """Some of them, quickly: the operators that layers are made of meet all methods elsewhere."""
    _check(case, [method for method in METHODS if method.name in ("ibp", "crown")])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_layers_are_bounded_by_all_methods(case: Case) -> None:
    _check(case, METHODS)


@pytest.mark.parametrize("name", REFUSED)
def test_layers_are_refused_by_name(name: str) -> None:
    make, shape, words = REFUSED[name]
    with pytest.raises(RobustsuiteError, match=words):
        bounds.trace(make(), torch.rand(2, *shape))
