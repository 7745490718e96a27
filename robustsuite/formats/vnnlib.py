"""VNN-LIB 1.0: unsafe sets of a network's inputs and outputs, as the VNN-COMP competitions write them.

A file declares inputs ``X_i`` and outputs ``Y_j`` and asserts linear inequalities of them, with ``and`` and ``or``.
Together they describe the *unsafe* set: the network is safe if no input and its output satisfy all assertions.
Numbers are read as the decimals that they are, and ``<`` is not ``<=``.

Source: Demarchi et al., The VNN-LIB standard 1.0 (vnnlib.org).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from robustsuite.errors import InvalidInput
from robustsuite.formats import compressed
from robustsuite.formats.unsafe_set import Case, Inequality, InputBox, UnsafeSet

MAX_CASES = 100_000
"""So many cases the disjunctions of a file may multiply out to."""

_TOKEN = re.compile(r"""\s+|;[^\r\n]*|(?P<token>[()]|"[^"]*"|\|[^|]*\||[^\s();|"]+)|(?P<wrong>.)""", re.ASCII)
_LINE_END = re.compile(r"\r\n|\r|\n")
_VARIABLE = re.compile(r"[XY]_(0|[1-9][0-9]{0,8})")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?(?P<power>[0-9]+))?")
_LONGEST = 1000  # digits of a number, and its power of ten: beyond, exact arithmetic would take long
_LOGICS = ("QF_LRA", "LRA", "QF_NRA", "NRA", "ALL")
_PASSED_OVER = ("set-info", "check-sat", "get-model", "exit")


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
        InvalidInput: the text is malformed, not linear, not about real numbers, or leaves an input without bounds.
    """
    declared: dict[str, int] = {}
    common: list[Inequality] = []  # hold in every case
    choices: list[_Formula] = []  # one of each has to hold
    ended = False
    for command in _commands(text, declared):
        head, parts = command.items[0], command.items[1:]
        if ended and head in ("declare-const", "assert"):
            raise _wrong(command.line, f"'{head}' stands after check-sat or exit; expected it before")
        if head == "declare-const":
            _declare(command, declared)
        elif head == "assert":
            if len(parts) != 1 or not isinstance(parts[0], list):
                raise _wrong(command.line, f"{command.text} is no assertion; expected (assert (<= ...))")
            if len(parts[0]) == 1:
                common.extend(parts[0][0])
            else:
                choices.append(parts[0])
        elif head == "set-logic" and parts not in [[logic] for logic in _LOGICS]:
            raise _wrong(command.line, f"{command.text} is not known; expected one of {', '.join(_LOGICS)}")
        ended |= head in ("check-sat", "exit")
    inputs, outputs = (_count(declared, kind) for kind in "XY")
    count = math.prod(len(choice) for choice in choices)
    if count > MAX_CASES:
        raise InvalidInput(f"the disjunctions multiply out to {count} cases; at most {MAX_CASES} are taken")
    boxes = _Boxes(inputs)
    _tighten(boxes.lower, boxes.upper, [atom for atom in common if _bounds_an_input(atom)])
    rest = [atom for atom in common if not _bounds_an_input(atom)]
    found = []
    for combination in itertools.product(*choices):
        atoms = list(itertools.chain(*combination))
        box = boxes.cut([atom for atom in atoms if _bounds_an_input(atom)])
        if box is not None:
            conditions = (*rest, *(atom for atom in atoms if not _bounds_an_input(atom)))
            found.append(Case(box=box, conditions=conditions))
    return UnsafeSet(inputs=inputs, outputs=outputs, cases=tuple(found))


_Term = dict[str, Fraction]
"""Coefficients by variable; the constant has the name ''."""

_Formula = list[list[Inequality]]
"""A disjunction of conjunctions. One empty conjunction is true, no conjunction is false."""

_Value = str | _Term | _Formula


@dataclass(frozen=True, slots=True)
class _List:
    """An expression in parentheses whose parts are understood, as far as an assertion has them."""

    items: list[_Value]
    line: int
    text: str


def _wrong(line: int, what: str) -> InvalidInput:
    return InvalidInput(f"line {line}: {what}")


def _shown(text: str) -> str:
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _commands(text: str, declared: dict[str, int]) -> Iterator[_List]:
    """Give the top-level lists of the text.

    Each list within an assertion is understood when it is closed, so that the depth of nesting is of no concern.
    """
    open_: list[tuple[list[_Value], int, int]] = []
    line = 1
    for match in _TOKEN.finditer(text):
        token = match["token"]
        if match["wrong"]:
            raise _wrong(line, f"'{match['wrong']}' is unexpected")
        if token == "(":
            if len(open_) == 1 and not open_[0][0]:
                raise _wrong(line, "'(' stands where a command is expected: declare-const or assert")
            open_.append(([], line, match.start()))
        elif token == ")":
            if not open_:
                raise _wrong(line, "a ')' too many")
            items, begin, start = open_.pop()
            done = _List(items, begin, _shown(text[start : min(match.end(), start + 200)]))
            if not open_:
                if not items:
                    raise _wrong(line, "'()' is no command; expected declare-const or assert")
                yield done
            elif open_[0][0][0] == "assert":
                open_[-1][0].append(_understood(done, declared))
            else:
                open_[-1][0].append(done.text)
        elif token is not None:
            if not open_:
                raise _wrong(
                    line, f"'{_shown(token)}' stands outside of parentheses; is this a VNN-LIB file?"
                )
            if len(open_) == 1 and not open_[0][0]:
                _check_command(token, line)
            open_[-1][0].append(token)
        line += len(_LINE_END.findall(match[0]))
    if open_:
        raise _wrong(open_[0][1], "a '(' is never closed; the file may be cut off")


def _check_command(name: str, line: int) -> None:
    if name.startswith(("vnnlib-version", "declare-network")):
        raise _wrong(line, "this is VNN-LIB 2; expected VNN-LIB 1.0 with declare-const and assert")
    if name not in ("declare-const", "assert", "set-logic", *_PASSED_OVER):
        raise _wrong(line, f"'{_shown(name)}' is not known here; expected declare-const or assert")


def _declare(command: _List, declared: dict[str, int]) -> None:
    if len(command.items) != 3 or command.items[2] != "Real":
        raise _wrong(
            command.line,
            f"{command.text} is not known; expected (declare-const X_0 Real): variables are real numbers",
        )
    name = command.items[1]
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise _wrong(command.line, f"'{name}' is no name of a variable; expected X_0, X_1, ..., Y_0, ...")
    if name in declared:
        raise _wrong(command.line, f"{name} is declared again; line {declared[name]} has it already")
    declared[name] = command.line


def _count(declared: dict[str, int], kind: str) -> int:
    numbers = sorted(int(name[2:]) for name in declared if name[0] == kind)
    if not numbers or numbers != list(range(len(numbers))):
        raise InvalidInput(f"the variables {kind}_0, {kind}_1, ... are not declared without a gap")
    return len(numbers)


def _understood(expression: _List, declared: dict[str, int]) -> _Value:
    """Give a list of an assertion as a formula or as a term."""
    line = expression.line
    head, *parts = expression.items or ("",)
    if head in ("and", "or") and parts:
        formulas = []
        for part in parts:
            if not isinstance(part, list):
                shown = _shown(part) if isinstance(part, str) else "a sum"
                raise _wrong(line, f"'{shown}' is no condition; expected and, or, <=, >=, <, >, =")
            formulas.append(part)
        return _either(formulas) if head == "or" else _all(formulas, line)
    if head in ("<=", ">=", "<", ">", "=") and len(parts) == 2:
        left, right = (_term(part, declared, line) for part in parts)
        if head == "=":
            both = [_inequality(left, right, strict=False), _inequality(right, left, strict=False)]
            return _all([_formula(atom) for atom in both], line)
        if head in (">=", ">"):
            left, right = right, left
        return _formula(_inequality(left, right, strict=head in ("<", ">")))
    if head in ("+", "-", "*") and parts:
        terms = [_term(part, declared, line) for part in parts]
        return _product(terms, expression) if head == "*" else _sum(terms, minus=head == "-")
    shown = _shown(head) if isinstance(head, str) else "a list"
    raise _wrong(
        line,
        f"'{shown}' with {len(parts)} parts is not known here; "
        "expected conditions of and, or, <=, >=, <, >, = and terms of +, -, *",
    )


def _either(formulas: list[_Formula]) -> _Formula:
    # Into the longest: a long chain of nested lists then takes time in proportion to its length.
    first = max(formulas, key=len)
    for formula in formulas:
        if formula is not first:
            first.extend(formula)
    return first


def _all(formulas: list[_Formula], line: int) -> _Formula:
    if math.prod(len(formula) for formula in formulas) > MAX_CASES:
        raise _wrong(line, f"the disjunctions multiply out to more than {MAX_CASES} cases")
    if all(len(formula) == 1 for formula in formulas):
        first = max((formula[0] for formula in formulas), key=len)
        for (atoms,) in formulas:
            if atoms is not first:
                first.extend(atoms)
        return [first]
    return [list(itertools.chain(*combination)) for combination in itertools.product(*formulas)]


def _formula(atom: Inequality) -> _Formula:
    """Give an inequality as a formula; one of constants alone is true or false."""
    if atom.inputs or atom.outputs:
        return [[atom]]
    return [[]] if atom.holds((), ()) else []


def _inequality(left: _Term, right: _Term, *, strict: bool) -> Inequality:
    """Give left <= right, or left < right."""
    terms = _sum([dict(left), right], minus=True)
    limit = -terms.pop("", Fraction())
    # With integers as coefficients, most conditions are exact in a network's floating-point numbers too.
    common = math.lcm(*(c.denominator for c in terms.values()))
    scale = Fraction(common, math.gcd(*(int(c * common) for c in terms.values())) or 1)
    outputs, inputs = (
        tuple(sorted((int(name[2:]), c * scale) for name, c in terms.items() if name[0] == kind))
        for kind in "YX"
    )
    return Inequality(outputs=outputs, inputs=inputs, limit=limit * scale, strict=strict)


def _term(part: _Value, declared: dict[str, int], line: int) -> _Term:
    if isinstance(part, dict):
        return part
    if isinstance(part, list):
        raise _wrong(line, "a condition stands where a number is expected")
    if part in declared:
        return {part: Fraction(1)}
    if _VARIABLE.fullmatch(part):
        raise _wrong(line, f"{part} is not declared")
    number = _NUMBER.fullmatch(part)
    if number is None:
        raise _wrong(line, f"'{_shown(part)}' is neither a variable nor a decimal number")
    if len(part) > _LONGEST or int(number["power"] or 0) > _LONGEST:
        raise _wrong(
            line,
            f"the number '{_shown(part)}' is too long; expected at most {_LONGEST} digits and e{_LONGEST}",
        )
    return {"": Fraction(part)}


def _sum(terms: list[_Term], *, minus: bool) -> _Term:
    """Add the terms, or take the others from the first; one alone is negated by a minus."""
    if minus and len(terms) == 1:
        return {name: -c for name, c in terms[0].items()}
    total = terms[0]
    for term in terms[1:]:
        for name, c in term.items():
            total[name] = total.get(name, Fraction()) + (-c if minus else c)
    return {name: c for name, c in total.items() if c}


def _product(terms: list[_Term], expression: _List) -> _Term:
    factors = [term.get("", Fraction()) for term in terms if set(term) <= {""}]
    variables = [term for term in terms if not set(term) <= {""}]
    if len(variables) > 1:
        raise _wrong(expression.line, f"'{expression.text}' is not linear")
    factor = math.prod(factors, start=Fraction(1))
    if max(abs(factor.numerator), factor.denominator).bit_length() > 8 * _LONGEST:
        raise _wrong(expression.line, f"the number '{expression.text}' is too large or too small")
    return {
        name: factor * c for name, c in (variables[0] if variables else {"": Fraction(1)}).items() if factor
    }


def _bounds_an_input(atom: Inequality) -> bool:
    return len(atom.inputs) == 1 and not atom.outputs


_End = tuple[Fraction, bool]
"""A value, and for a lower end whether it is open, for an upper one whether it is closed: tighter ends compare so."""


@dataclass(frozen=True, slots=True)
class _Boxes:
    """What all cases have of the box, and the boxes made from it."""

    inputs: int
    lower: dict[int, _End] = field(default_factory=dict)
    upper: dict[int, _End] = field(default_factory=dict)
    made: dict[tuple[tuple[int, _End | None, _End | None], ...], InputBox | None] = field(
        default_factory=dict
    )

    def cut(self, atoms: list[Inequality]) -> InputBox | None:
        """Give the box within further bounds, the same one for the same bounds; None where it is empty.

        Raises:
            InvalidInput: an input has no bound on one side.
        """
        touched = {number for atom in atoms for number, _ in atom.inputs}
        lower = {i: self.lower[i] for i in touched if i in self.lower}
        upper = {i: self.upper[i] for i in touched if i in self.upper}
        _tighten(lower, upper, atoms)
        key = tuple((i, lower.get(i), upper.get(i)) for i in sorted(touched))
        key = tuple(part for part in key if part[1:] != (self.lower.get(part[0]), self.upper.get(part[0])))
        if key not in self.made:
            self.made[key] = self._box(self.lower | lower, self.upper | upper)
        return self.made[key]

    def _box(self, lower: dict[int, _End], upper: dict[int, _End]) -> InputBox | None:
        for i in range(self.inputs):
            if i not in lower or i not in upper:
                raise InvalidInput(
                    f"X_{i} has no bound on one side; every input needs a lower and an upper one"
                )
        for i in range(self.inputs):
            (low, open_), (high, closed) = lower[i], upper[i]
            if low > high or (low == high and (open_ or not closed)):
                return None
        order = range(self.inputs)
        return InputBox(
            lower=tuple(lower[i][0] for i in order),
            upper=tuple(upper[i][0] for i in order),
            open_below=frozenset(i for i in order if lower[i][1]),
            open_above=frozenset(i for i in order if not upper[i][1]),
        )


def _tighten(lower: dict[int, _End], upper: dict[int, _End], atoms: list[Inequality]) -> None:
    """Intersect with inequalities, each of one input alone."""
    for atom in atoms:
        ((number, factor),) = atom.inputs
        value = atom.limit / factor
        if factor > 0:
            upper[number] = min(upper.get(number, (value, True)), (value, not atom.strict))
        else:
            lower[number] = max(lower.get(number, (value, False)), (value, atom.strict))
