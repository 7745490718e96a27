"""Random modules as people write them: casts, masks, in-place steps, shared parts, buffers, layers in training mode.

Each is made from a seed. `mixes` says whether it joins the examples of a batch somewhere, and so has to be refused.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 4  # tensors are (batch, WIDTH), or (batch, 2, WIDTH) within sequences
Piece = Callable[[random.Random], nn.Module]


def one_of(r: random.Random, *makers: Callable[[], nn.Module]) -> nn.Module:
    """Make one of several modules."""
    return r.choice(makers)()


class Function(nn.Module):
    """A module made of a function."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.name, self._function = name, function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)

    def extra_repr(self) -> str:
        return self.name


class Buffers(nn.Module):
    """Scales and shifts by buffers, one of them a mask."""

    def __init__(self, r: random.Random) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([r.uniform(-2, 2) for _ in range(WIDTH)]))
        self.register_buffer("kept", torch.tensor([r.random() < 0.7 for _ in range(WIDTH)]))
        self.fill = r.choice([0.0, -1e9, 1e10, 3.0])

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.get_buffer("scale")).masked_fill(~self.get_buffer("kept"), self.fill)


class MaskedSoftmax(nn.Module):
    def __init__(self, r: random.Random) -> None:
        super().__init__()
        gone = [r.random() < 0.5 for _ in range(WIDTH)]
        gone[r.randrange(WIDTH)] = False
        self.register_buffer("gone", torch.tensor(gone))
        self.how, self.size = (
            r.choice(["softmax", "logsumexp", "amax", "added", "log"]),
            r.choice([1.0, 1e10]),
        )

    def forward(self, x: Tensor) -> Tensor:
        gone = self.get_buffer("gone")
        y = (x * self.size).masked_fill(gone, -torch.inf)
        if self.how == "logsumexp":
            return x + y.logsumexp(-1, keepdim=True) / self.size
        if self.how == "amax":
            return x + y.amax(-1, keepdim=True) / self.size
        if self.how == "added":
            return (x + torch.zeros(WIDTH).to(x).masked_fill(gone, -torch.inf)).softmax(-1)
        if self.how == "log":
            return y.log_softmax(-1).exp()
        return y.softmax(-1)


class Attention(nn.Module):
    """Two tokens made of one vector, with or without a mask, through torch's own attention."""

    def __init__(self, r: random.Random) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, 2 * WIDTH)
        self.mask = r.choice([None, "causal", "boolean", "empty row"])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.inner(x).unflatten(-1, (2, WIDTH))
        mask = None
        if self.mask == "boolean":
            mask = torch.tensor([[True, False], [True, True]])
        if self.mask == "empty row":
            mask = torch.tensor([[False, False], [True, True]])
        y = F.scaled_dot_product_attention(tokens, tokens, tokens, mask, is_causal=self.mask == "causal")
        return y.sum(1)


class Recurrent(nn.Module):
    def __init__(self, r: random.Random) -> None:
        super().__init__()
        self.cell: nn.Module = r.choice([nn.LSTM, nn.GRU])(2, WIDTH, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cell(x.unflatten(-1, (2, 2)))[0][:, -1]
        return y


class Convolved(nn.Module):
    def __init__(self, r: random.Random) -> None:
        super().__init__()
        self.conv = one_of(
            r,
            lambda: nn.Conv1d(1, 2, 3, padding=1),
            lambda: nn.Conv1d(1, 2, 3, padding=1, padding_mode="reflect"),
            lambda: nn.Conv1d(1, 2, 3, padding=1, padding_mode="replicate"),
        )
        self.norm = one_of(
            r,
            lambda: nn.BatchNorm1d(2),
            lambda: nn.InstanceNorm1d(2, track_running_stats=True, affine=True),
            lambda: nn.InstanceNorm1d(2),
            lambda: nn.GroupNorm(1, 2),
            nn.Identity,
        )
        for name, value in self.norm.named_buffers():
            if "running" in name:
                value.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x.unsqueeze(1)))
        return y.mean(1)


class Residual(nn.Module):
    """The same part twice, and around it."""

    def __init__(self, part: nn.Module, twice: bool) -> None:
        super().__init__()
        self.part, self.twice = part, twice

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.part(x)
        z: Tensor = y + self.part(y) if self.twice else y
        return z


def _in_place(r: random.Random) -> nn.Module:
    value, column = r.uniform(-1, 1), r.randrange(WIDTH)

    def assign(x: Tensor) -> Tensor:
        y = x.clone()
        y[..., column] = value
        return y

    def accumulate(x: Tensor) -> Tensor:
        y = x.clone()
        y[..., 1:] += y[..., :-1]
        return y.mul_(0.5).add_(value)

    def exchange(x: Tensor) -> Tensor:
        y = x.clone()
        y[..., 0], y[..., 1] = x[..., 1] * 2, x[..., 0].clone().relu_()
        return y

    def view(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[..., :2].copy_(x[..., 2:])
        return y + x

    return Function("in place", r.choice([assign, accumulate, exchange, view]))


def _cast(r: random.Random) -> nn.Module:
    casts: dict[str, Callable[[Tensor], Tensor]] = {
        "half": lambda x: x.half().to(x),
        "bfloat16": lambda x: x.bfloat16().to(x),
        "float32": lambda x: x.float().to(x),
        "double": lambda x: x.double().to(x),
        "int32": lambda x: (4 * x).to(torch.int32).to(x),
        "int64": lambda x: (4 * x).long().to(x) + x,
        "int8": lambda x: x.clamp(-100, 100).to(torch.int8).to(x),
        "bool": lambda x: x.relu().bool().to(x),
        "bools": lambda x: ((x > 0) + (x > 0.5)).to(x) * x,
        "count": lambda x: x + (x > 0.2).sum(-1, keepdim=True),
        "half arithmetic": lambda x: (x.half() * 3).to(x),
        "int arithmetic": lambda x: ((100 * x).to(torch.int8) * 2).to(x),
    }
    name = r.choice(sorted(casts))
    return Function(f"cast {name}", casts[name])


def _activation(r: random.Random) -> nn.Module:
    return one_of(
        r,
        nn.ReLU,
        nn.Tanh,
        nn.Sigmoid,
        nn.GELU,
        nn.SiLU,
        nn.Hardswish,
        nn.Hardsigmoid,
        nn.LogSigmoid,
        lambda: nn.LeakyReLU(r.choice([0.1, -0.3, 1.7])),
        lambda: nn.Softplus(r.choice([1.0, 3.0, -1.0]), r.choice([20.0, 1.0])),
        lambda: nn.ELU(r.choice([1.0, -0.5, 2.0])),
        lambda: nn.CELU(r.choice([1.0, 0.5])),
        lambda: nn.Hardtanh(-0.3, 0.9),
        lambda: nn.Softmax(-1),
    )


def _choice(r: random.Random) -> nn.Module:
    at, value = r.uniform(-0.5, 0.5), r.choice([1e10, -1e10, 2.0, 0.0])
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "where": lambda x: torch.where(x > at, value, x),
        "where of two": lambda x: torch.where(x <= at, x.flip(-1), 2 * x),
        "clamp": lambda x: x.clamp(min=at),
        "clamp crossed": lambda x: x.clamp(0.5, at),
        "maximum": lambda x: torch.maximum(x, x.flip(-1)) - torch.minimum(x, x.roll(1, -1)),
        "comparison": lambda x: (x >= x.roll(1, -1)).to(x) + x,
        "amax": lambda x: x - x.amax(-1, keepdim=True),
        "norm": lambda x: x / (x.norm(dim=-1, keepdim=True) + 1),
        "variance": lambda x: (
            (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1).sqrt()
        ),
        "product": lambda x: x * x.flip(-1) + x.square(),
        "power": lambda x: x.pow(3) + (x.abs() + 0.1).pow(-0.5),
        "sine": lambda x: torch.sin(3 * x) + torch.cos(x),
        "cumsum": lambda x: x.cumsum(-1),
        "einsum": lambda x: torch.einsum("bi,bj->bi", x, x),
        "matmul": lambda x: (x.unsqueeze(2) @ x.unsqueeze(1)).mean(2),
        "index": lambda x: x[:, torch.tensor([3, 0, 0, 1])],
        "gather": lambda x: x.gather(1, torch.tensor([[1, 1, 0, 2]]).expand(len(x), -1)),
        "pad": lambda x: F.pad(x, (1, -1), value=0.3),
        "turned": lambda x: x.unflatten(1, (2, 2)).transpose(1, 2).flatten(1),
    }
    name = r.choice(sorted(functions))
    return Function(name, functions[name])


def _training(r: random.Random) -> nn.Module:
    """Layers that are left in training mode; eval mode is not theirs to choose."""
    return one_of(
        r,
        lambda: nn.Dropout(0.5),
        lambda: Function("functional dropout", lambda x: F.dropout(x, 0.5, training=True)),
        lambda: Function("noise", lambda x: x + torch.rand_like(x)),
        lambda: nn.Sequential(
            nn.Unflatten(1, (2, 2)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten()
        ),
        lambda: nn.LayerNorm(WIDTH),
    )


def _mixing(r: random.Random) -> nn.Module:
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda x: x - x.mean(0, keepdim=True),
        "flip": lambda x: x.flip(0),
        "cumsum": lambda x: x.cumsum(0),
        "dead": lambda x: x + (x - x.amax(0, keepdim=True) - 1).relu(),
        "dead size": lambda x: x + (x - 1e6 - len(x)).relu(),
        "any": lambda x: x * (x > 0).any(0).to(x),
        "softmax": lambda x: x.softmax(0),
        "first": lambda x: x + 0.1 * x[:1],
        "size": lambda x: x * len(x),
        "gram": lambda x: x @ (x.t() @ x),
        "zero": lambda x: x + 0 * x.sum(),
    }
    name = r.choice(sorted(functions))
    return Function(f"mixes by {name}", functions[name])


PIECES: dict[str, Piece] = {
    "linear": lambda r: nn.Linear(WIDTH, WIDTH),
    "activation": _activation,
    "cast": _cast,
    "choice": _choice,
    "in place": _in_place,
    "buffers": Buffers,
    "masked softmax": MaskedSoftmax,
    "attention": Attention,
    "recurrent": Recurrent,
    "convolved": Convolved,
    "norm": lambda r: nn.LayerNorm(WIDTH),
    "batch norm": lambda r: nn.BatchNorm1d(WIDTH),
    "residual": lambda r: Residual(_any(r, shallow=True), r.random() < 0.5),
}


@dataclass(frozen=True)
class Made:
    """A random module.

    Attributes:
        module: maps (batch, WIDTH) to (batch, WIDTH), float64.
        mixes: whether it joins examples.
        in_training: whether some layer was left in training mode.
        example: where to trace it, shape (1, WIDTH).
    """

    module: nn.Module
    mixes: bool
    in_training: bool
    example: Tensor


def _any(r: random.Random, *, shallow: bool = False) -> nn.Module:
    names = sorted(PIECES)
    if shallow:
        names = [n for n in names if n not in ("residual", "in place")]
    return PIECES[r.choice(names)](r)


def make(seed: int) -> Made:
    """Make a module from a seed."""
    r = random.Random(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = [_any(r) for _ in range(r.randint(1, 5))]
        mixes, in_training = r.random() < 0.12, r.random() < 0.12
        if mixes:
            parts.insert(r.randint(0, len(parts)), _mixing(r))
        if in_training:
            parts.insert(r.randint(0, len(parts)), _training(r))
        if r.random() < 0.3:
            parts.append(parts[0])  # shared
        head = nn.Linear(WIDTH, 2)
        if r.random() < 0.2:
            nn.init.zeros_(head.weight)
        module = nn.Sequential(*parts, head).double().eval()
        for part in parts:
            part.train(in_training and isinstance(part, nn.Dropout | nn.Sequential))
        example = r.choice(
            [
                torch.zeros(1, WIDTH),
                torch.full((1, WIDTH), 0.5),
                torch.ones(1, WIDTH),
                torch.randn(1, WIDTH),
                torch.full((1, WIDTH), torch.nan),
            ]
        ).double()
    return Made(module, mixes, in_training, example)
