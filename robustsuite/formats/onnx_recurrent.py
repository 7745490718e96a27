"""LSTM, GRU and RNN of ONNX, unrolled over the sequence. Source: their schemas, versions 7 to 22."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats.onnx_entries import integers
from robustsuite.formats.onnx_types import Static

_Activation = Callable[[Tensor], Tensor]
_State = tuple[Tensor, ...]

_ACTIVATIONS: dict[str, _Activation] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "softsign": lambda x: x / (1 + x.abs()),
    "softplus": functional.softplus,
}


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """The weights of one direction: w for the input, r for the state, and their biases."""

    w: Tensor
    r: Tensor
    wb: Tensor
    rb: Tensor
    activations: Sequence[_Activation]

    @property
    def hidden(self) -> int:
        return self.r.shape[-1]


def lstm(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    sequence_lens: Static | None = None,
    initial_h: Tensor | None = None,
    initial_c: Tensor | None = None,
    p: Tensor | None = None,
    *,
    hidden_size: int | None = None,
    direction: str,
    layout: int = 0,
    input_forget: int,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
) -> tuple[Tensor, ...]:
    def step(cell: _Cell, which: int, gates: Tensor, state: _State) -> _State:
        h, c = state
        f, g, last = cell.activations
        i, o, forget, new = _parts(gates + functional.linear(h, cell.r, cell.rb), cell.hidden)
        peeps = _parts(p[which], cell.hidden) if p is not None else [None] * 3
        i, forget = _peeped(i, peeps[0], c), _peeped(forget, peeps[2], c)
        i = f(_clipped(i, clip))
        kept = 1 - i if input_forget else f(_clipped(forget, clip))
        c = kept * c + i * g(_clipped(new, clip))
        return f(_clipped(_peeped(o, peeps[1], c), clip)) * last(c), c

    cells = _cells(w, r, b, 4, direction, hidden_size, activations, ("Sigmoid", "Tanh", "Tanh"))
    return _unrolled(x, cells, step, (initial_h, initial_c), sequence_lens, direction, layout)


def gru(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    sequence_lens: Static | None = None,
    initial_h: Tensor | None = None,
    *,
    hidden_size: int | None = None,
    direction: str,
    layout: int = 0,
    linear_before_reset: int,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
) -> tuple[Tensor, ...]:
    def step(cell: _Cell, which: int, gates: Tensor, state: _State) -> _State:
        (h,) = state
        f, g = cell.activations
        both = 2 * cell.hidden
        z, reset = _parts(
            gates[..., :both] + functional.linear(h, cell.r[:both], cell.rb[:both]), cell.hidden
        )
        z, reset = f(_clipped(z, clip)), f(_clipped(reset, clip))
        if linear_before_reset:
            past = reset * functional.linear(h, cell.r[both:], cell.rb[both:])
        else:
            past = functional.linear(reset * h, cell.r[both:], cell.rb[both:])
        return ((1 - z) * g(_clipped(gates[..., both:] + past, clip)) + z * h,)

    cells = _cells(w, r, b, 3, direction, hidden_size, activations, ("Sigmoid", "Tanh"))
    return _unrolled(x, cells, step, (initial_h,), sequence_lens, direction, layout)


def rnn(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    sequence_lens: Static | None = None,
    initial_h: Tensor | None = None,
    *,
    hidden_size: int | None = None,
    direction: str,
    layout: int = 0,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
) -> tuple[Tensor, ...]:
    def step(cell: _Cell, which: int, gates: Tensor, state: _State) -> _State:
        (f,) = cell.activations
        return (f(_clipped(gates + functional.linear(state[0], cell.r, cell.rb), clip)),)

    # The schema's default names two activations, whatever the direction.
    names = list(activations or [])[: len(w)]
    cells = _cells(w, r, b, 1, direction, hidden_size, names, ("Tanh",))
    return _unrolled(x, cells, step, (initial_h,), sequence_lens, direction, layout)


def _parts(gates: Tensor, hidden: int) -> list[Tensor]:
    return [gates[..., start : start + hidden] for start in range(0, gates.shape[-1], hidden)]


def _clipped(x: Tensor, clip: float | None) -> Tensor:
    return x if not clip else x.clamp(-clip, clip)


def _peeped(x: Tensor, weight: Tensor | None, c: Tensor) -> Tensor:
    return x if weight is None else x + weight * c


def _cells(
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    gates: int,
    direction: str,
    hidden_size: int | None,
    activations: Sequence[str] | None,
    default: Sequence[str],
) -> list[_Cell]:
    directions, hidden = 2 if direction == "bidirectional" else 1, r.shape[-1]
    if (
        len(w) != directions
        or r.shape[:2] != (directions, gates * hidden)
        or hidden_size not in (None, hidden)
    ):
        raise InvalidInput(
            f"its weights are {tuple(w.shape)} and {tuple(r.shape)} for direction {direction!r} and hidden_size "
            f"{hidden_size}; expected ({directions}, {gates} * hidden_size, ...)"
        )
    names = [name.lower() for name in activations or list(default) * directions]
    unknown = next((name for name in names if name not in _ACTIVATIONS), None)
    if unknown or len(names) != directions * len(default):
        raise UnsupportedOperator(
            f"activations is {list(activations or [])}; expected {len(default)} for each direction, of "
            f"{', '.join(_ACTIVATIONS)}; export it with these"
        )
    b = w.new_zeros(directions, 2 * gates * hidden) if b is None else b
    found = []
    for which in range(directions):
        mine = names[which * len(default) : (which + 1) * len(default)]
        halves = b[which][: gates * hidden], b[which][gates * hidden :]
        found.append(_Cell(w[which], r[which], *halves, [_ACTIVATIONS[name] for name in mine]))
    return found


def _unrolled(
    x: Tensor,
    cells: Sequence[_Cell],
    step: Callable[[_Cell, int, Tensor, _State], _State],
    initial: Sequence[Tensor | None],
    sequence_lens: Static | None,
    direction: str,
    layout: int,
) -> tuple[Tensor, ...]:
    """Go through the sequence, once per direction.

    Args:
        x: shape (sequence, batch, features), or (batch, sequence, features) with layout 1.
        cells: one per direction.
        step: gives the next state from the input's part of the gates and the state.
        initial: states at the beginning, shape (directions, batch, hidden), or (batch, directions, hidden) with
            layout 1; zeros where None.
        sequence_lens: lengths of the sequences; only whole ones are known.

    Returns:
        The sequence of hidden states, shape (sequence, directions, batch, hidden), or (batch, sequence, directions,
        hidden) with layout 1; and the last states, of the shape of the initial ones.
    """
    if layout:
        x = x.transpose(0, 1)
        initial = [None if state is None else state.transpose(0, 1) for state in initial]
    length, batch = x.shape[:2]
    if any(n != length for n in integers(sequence_lens)):
        raise UnsupportedOperator(
            f"sequence_lens is {integers(sequence_lens)}; expected whole sequences of {length}; leave it out"
        )
    ways, last = [], []
    for which, cell in enumerate(cells):
        zeros = x.new_zeros(batch, cell.hidden)
        state: _State = tuple(zeros if start is None else start[which] for start in initial)
        backwards = direction == "reverse" or which == 1
        seen: list[Tensor] = []
        for place in reversed(range(length)) if backwards else range(length):
            state = step(cell, which, functional.linear(x[place], cell.w, cell.wb), state)
            seen.append(state[0])
        ways.append(torch.stack(seen[::-1] if backwards else seen))
        last.append(state)
    y = torch.stack(ways, 1)
    ends = [torch.stack(states) for states in zip(*last, strict=True)]
    if layout:
        return y.permute(2, 0, 1, 3), *(end.transpose(0, 1) for end in ends)
    return y, *ends
