"""VNN-LIB 1.0: unsafe sets of a network's inputs and outputs, as the VNN-COMP competitions write them.

A file declares inputs ``X_i`` and outputs ``Y_j`` and asserts linear inequalities of them, with ``and`` and ``or``.
Together they describe the *unsafe* set: the network is safe if no input and its output satisfy all assertions.

Source: Demarchi et al., The VNN-LIB standard 1.0 (vnnlib.org).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robustsuite.errors import InvalidInput
from robustsuite.formats import compressed

MAX_CASES = 100_000
"""So many cases the disjunctions of a file may multiply out to."""

_TOKEN = re.compile(r"\s+|;[^\n]*|(?P<token>[()]|\|[^|]*\||[^\s();|]+)|(?P<wrong>.)")
_VARIABLE = re.compile(r"[XY]_\d+")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One way to be unsafe: ``lower <= x <= upper`` and ``rows @ (y, x) <= limits``.

    Attributes:
        lower, upper: of the inputs, shape (inputs,), float64; finite, lower <= upper.
        rows: coefficients of the outputs, then of the inputs, shape (rows, outputs + inputs), float64.
        limits: shape (rows,), float64.
    """

    lower: Tensor
    upper: Tensor
    rows: Tensor
    limits: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnsafeSet:
    """Unsafe if any of the cases is met.

    Attributes:
        inputs, outputs: how many the file declares.
        cases: may be empty, if the assertions contradict each other within a box.
    """

    inputs: int
    outputs: int
    cases: tuple[Case, ...]


def load_vnnlib(path: Path) -> UnsafeSet:
    """Read a VNN-LIB file (may be gzipped).

    Raises:
        InvalidInput: the file is absent or malformed; the message names the line.
    """
    try:
        text = compressed.read(path).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not a text file; expected a VNN-LIB property") from error
    try:
        return parse_vnnlib(text)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def parse_vnnlib(text: str) -> UnsafeSet:
    """Read a property in VNN-LIB 1.0.

    Raises:
        InvalidInput: the text is malformed, not linear, or leaves an input without bounds.
    """
    declared: dict[str, int] = {}
    boxed: list[_Atom] = []  # atoms that hold in every case
    choices: list[list[list[_Atom]]] = []  # one of each has to hold
    for command in _commands(text):
        head = command.items[0] if command.items else None
        if head == "declare-const" and len(command.items) == 3:
            _declare(command, declared)
        elif head == "assert" and len(command.items) == 2:
            cases = _cases(command.items[1], declared, command.line)
            if len(cases) == 1:
                boxed.extend(cases[0])
            else:
                choices.append(cases)
        elif isinstance(head, str) and head.startswith(("vnnlib-version", "declare-network")):
            raise _wrong(
                command.line, "this is VNN-LIB 2; expected VNN-LIB 1.0 with declare-const and assert"
            )
        elif head not in ("set-logic", "set-info", "check-sat", "get-model", "exit"):
            raise _wrong(command.line, f"'{_show(head)}' is not known here; expected declare-const or assert")
    inputs, outputs = (_count(declared, kind) for kind in "XY")
    count = math.prod(len(choice) for choice in choices)
    if count > MAX_CASES:
        raise InvalidInput(f"the disjunctions multiply out to {count} cases; at most {MAX_CASES} are taken")
    common = _common_box(boxed, inputs)
    rest = [atom for atom in boxed if atom.variable_input() is None]
    found = []
    for combination in itertools.product(*choices):
        case = _case([*rest, *itertools.chain(*combination)], *common, inputs, outputs)
        if case is not None:
            found.append(case)
    return UnsafeSet(inputs=inputs, outputs=outputs, cases=tuple(found))


@dataclass(frozen=True, slots=True)
class _List:
    """An expression in parentheses and the line it begins in."""

    items: tuple[str | _List, ...]
    line: int


_Expression = str | _List


@dataclass(frozen=True, slots=True)
class _Atom:
    """sum of coefficient times variable <= limit."""

    terms: dict[str, float]
    limit: float

    def variable_input(self) -> int | None:
        """Give the number of the input that this atom bounds, if it is of one input alone."""
        ((name, _),) = self.terms.items() if len(self.terms) == 1 else (("", 0.0),)
        return int(name[2:]) if name.startswith("X_") else None


def _wrong(line: int, what: str) -> InvalidInput:
    return InvalidInput(f"line {line}: {what}")


def _show(expression: object) -> str:
    if isinstance(expression, _List):
        return "(" + " ".join(_show(item) for item in expression.items) + ")"
    return str(expression)


def _commands(text: str) -> Iterator[_List]:
    """Give the top-level lists of the text."""
    open_: list[tuple[list[_Expression], int]] = []
    line = 1
    for match in _TOKEN.finditer(text):
        token = match["token"]
        if match["wrong"]:
            raise _wrong(line, f"'{match['wrong']}' is unexpected")
        if token == "(":
            open_.append(([], line))
        elif token == ")":
            if not open_:
                raise _wrong(line, "a ')' too many")
            items, begin = open_.pop()
            done = _List(tuple(items), begin)
            if open_:
                open_[-1][0].append(done)
            else:
                yield done
        elif token is not None:
            if not open_:
                raise _wrong(line, f"'{token[:40]}' stands outside of parentheses; is this a VNN-LIB file?")
            open_[-1][0].append(token)
        line += match[0].count("\n")
    if open_:
        raise _wrong(open_[0][1], "a '(' is never closed; the file may be cut off")


def _declare(command: _List, declared: dict[str, int]) -> None:
    name = command.items[1]
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise _wrong(
            command.line, f"'{_show(name)}' is no name of a variable; expected X_0, X_1, ..., Y_0, ..."
        )
    declared[name] = command.line


def _count(declared: dict[str, int], kind: str) -> int:
    numbers = sorted(int(name[2:]) for name in declared if name[0] == kind)
    if not numbers or numbers != list(range(len(numbers))):
        raise InvalidInput(f"the variables {kind}_0, {kind}_1, ... are not declared without a gap")
    return len(numbers)


def _cases(expression: _Expression, declared: dict[str, int], line: int) -> list[list[_Atom]]:
    """Give a formula as a disjunction of conjunctions of atoms."""
    if isinstance(expression, str) or not expression.items:
        raise _wrong(line, f"'{_show(expression)}' is no condition; expected and, or, <=, >=")
    head, *parts = expression.items
    line = expression.line
    if head == "or":
        return [case for part in parts for case in _cases(part, declared, line)]
    if head == "and":
        together = [_cases(part, declared, line) for part in parts]
        if math.prod(len(cases) for cases in together) > MAX_CASES:
            raise _wrong(line, f"the disjunctions multiply out to more than {MAX_CASES} cases")
        return [list(itertools.chain(*combination)) for combination in itertools.product(*together)]
    if head in ("<=", ">=", "<", ">", "=") and len(parts) == 2:
        # A strict inequality is taken with its boundary: the unsafe set only grows by that.
        left, right = (_linear(part, declared, line) for part in parts)
        less, more = _difference(left, right), _difference(right, left)
        if head == "=":
            return [[less, more]]
        return [[less if head in ("<=", "<") else more]]
    raise _wrong(line, f"'{_show(head)}' with {len(parts)} parts is no condition; expected and, or, <=, >=")


def _difference(left: dict[str, float], right: dict[str, float]) -> _Atom:
    """Give left <= right; the constant has the name ''."""
    terms = {name: left.get(name, 0.0) - right.get(name, 0.0) for name in {**left, **right}}
    limit = -terms.pop("", 0.0)
    return _Atom({name: value for name, value in terms.items() if value != 0}, limit)


def _linear(expression: _Expression, declared: dict[str, int], line: int) -> dict[str, float]:
    """Give a term as coefficients by variable; the constant has the name ''."""
    if isinstance(expression, str):
        if expression in declared:
            return {expression: 1.0}
        if _VARIABLE.fullmatch(expression):
            raise _wrong(line, f"{expression} is not declared")
        try:
            value = float(expression)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise _wrong(line, f"'{expression}' is neither a variable nor a number")
        return {"": value}
    operator, *parts = expression.items or ("",)
    terms = [_linear(part, declared, line) for part in parts]
    if operator in ("+", "-") and terms:
        if operator == "-" and len(terms) == 1:
            return {name: -value for name, value in terms[0].items()}
        total = dict(terms[0])
        sign = 1.0 if operator == "+" else -1.0
        for term in terms[1:]:
            for name, value in term.items():
                total[name] = total.get(name, 0.0) + sign * value
        return total
    if operator == "*" and terms:
        factor = math.prod(term[""] for term in terms if set(term) == {""})
        variables = [term for term in terms if set(term) != {""}]
        if len(variables) > 1:
            raise _wrong(line, f"'{_show(expression)}' is not linear")
        return {name: factor * value for name, value in (variables[0] if variables else {"": 1.0}).items()}
    raise _wrong(line, f"'{_show(operator)}' is no linear operation; expected +, - or *")


def _common_box(atoms: list[_Atom], inputs: int) -> tuple[list[float], list[float]]:
    lower, upper = [-math.inf] * inputs, [math.inf] * inputs
    _cut(lower, upper, atoms)
    return lower, upper


def _cut(lower: list[float], upper: list[float], atoms: list[_Atom]) -> None:
    """Intersect a box with the atoms that bound one input."""
    for atom in atoms:
        number = atom.variable_input()
        if number is None:
            continue
        (factor,) = atom.terms.values()
        if factor > 0:
            upper[number] = min(upper[number], atom.limit / factor)
        else:
            lower[number] = max(lower[number], atom.limit / factor)


def _case(
    atoms: list[_Atom], lower: list[float], upper: list[float], inputs: int, outputs: int
) -> Case | None:
    """Put a conjunction into arrays; None where it contradicts itself without regard to the network."""
    lower, upper = list(lower), list(upper)
    _cut(lower, upper, atoms)
    free = [i for i in range(inputs) if not (math.isfinite(lower[i]) and math.isfinite(upper[i]))]
    if free:
        raise InvalidInput(
            f"X_{free[0]} has no bound on one side; every input needs a lower and an upper one"
        )
    if any(l > u for l, u in zip(lower, upper, strict=True)):
        return None
    rest = [atom for atom in atoms if atom.variable_input() is None]
    if any(not atom.terms and atom.limit < 0 for atom in rest):
        return None
    rest = [atom for atom in rest if atom.terms]
    rows = torch.zeros(len(rest), outputs + inputs, dtype=torch.float64)
    for row, atom in zip(rows, rest, strict=True):
        for name, value in atom.terms.items():
            row[int(name[2:]) + (outputs if name[0] == "X" else 0)] = value
    limits = torch.tensor([atom.limit for atom in rest], dtype=torch.float64)
    ends = (torch.tensor(end, dtype=torch.float64) for end in (lower, upper))
    return Case(lower=next(ends), upper=next(ends), rows=rows, limits=limits)
