"""Branch and bound over neurons, with the splits' constraints as Lagrange multipliers (beta-CROWN).

A domain is a part of the region described by intervals of the tensors before the nonlinearities: where an end is
tighter than the root's, it is a constraint. A lower bound of the objective under the constraints z >= p (or
z <= p) may subtract beta (z - p) (or beta (p - z)) with any beta >= 0 on the way back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from robustsuite.bounds.branching.query import Point, Query, attack
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense, LinearForm
from robustsuite.bounds.operations import Input, Nonlinear, Thetas
from robustsuite.bounds.passes.ascent import Free, alpha_intervals, ascend, for_each_form, tensors_of
from robustsuite.bounds.passes.backward import lower_bound
from robustsuite.bounds.passes.intervals import GONE, step_interval
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.passes.rounding import gamma, magnitude
from robustsuite.bounds.program import Program
from robustsuite.bounds.relaxations.relu import ReLU
from robustsuite.bounds.relaxations.unary import Unary
from robustsuite.perturbations import Region
from robustsuite.perturbations.norms import flat

_BATCH = 64  # domains that are split at once
_STEPS = 6  # from the parents' choices
_WEIGHT = 0.1  # of what a split may gain besides a line's height over the function
_ATTACK = 0.1  # share of the time left that the second, longer attack may take
_LR_ALPHA, _LR_BETA, _DECAY = 0.1, 0.05, 0.95
_ROOT_STEPS = 20


Pair = tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Domains:
    """Open parts of the region, most promising last.

    Attributes:
        group: which rows each has to decide, shape (domains,).
        lower, upper: intervals before each splittable step, {step: (domains, *shape)}.
        bound: lower bound of the group's best row so far, shape (domains,).
        alphas: choices of planes reached so far, by step; empty at the root.
        betas: multipliers of the constraints from below and from above, by step; empty at the root.
    """

    group: Tensor
    lower: dict[int, Tensor]
    upper: dict[int, Tensor]
    bound: Tensor
    alphas: dict[int, Pair] = field(default_factory=dict)
    betas: dict[int, Pair] = field(default_factory=dict)

    def select(self, index: Tensor) -> _Domains:
        return _Domains(
            self.group[index],
            {k: t[index] for k, t in self.lower.items()},
            {k: t[index] for k, t in self.upper.items()},
            self.bound[index],
            {k: _each(pair, lambda t: t[index]) for k, pair in self.alphas.items()},
            {k: _each(pair, lambda t: t[index]) for k, pair in self.betas.items()},
        )

    def join(self, other: _Domains) -> _Domains:
        return _Domains(
            torch.cat([self.group, other.group]),
            {k: torch.cat([t, other.lower[k]]) for k, t in self.lower.items()},
            {k: torch.cat([t, other.upper[k]]) for k, t in self.upper.items()},
            torch.cat([self.bound, other.bound]),
            {k: _joined(pair, other.alphas[k]) for k, pair in self.alphas.items()},
            {k: _joined(pair, other.betas[k]) for k, pair in self.betas.items()},
        )


def _each(pair: Pair, function: Callable[[Tensor], Tensor]) -> Pair:
    first, second = (None if t is None else function(t) for t in pair)
    return first, second


def _joined(pair: Pair, other: Pair) -> Pair:
    first, second = (
        None if a is None or b is None else torch.cat([a, b]) for a, b in zip(pair, other, strict=True)
    )
    return first, second


def split_neurons(query: Query) -> tuple[bool, Point | None, int]:
    """Decide a property by splitting neurons.

    Returns:
        Whether it holds, a counterexample or None, and the number of domains bounded. False without a
        counterexample: out of time.

    Source: Wang et al. 2021 (2103.06624), section 3; the choice of neurons after Bunel et al. 2020, section 5.
    """
    with torch.no_grad():
        program = query.net.bind(query.regions)
        problem = Problem.of(program, query.regions)
        root = alpha_intervals(problem)
    before = splittable(program)
    groups = len(query.rows)
    everywhere = _Domains(
        torch.arange(groups, device=query.rows.device),
        {i: root[i].lower.expand(groups, *root[i].lower.shape[1:]) for i in before},
        {i: root[i].upper.expand(groups, *root[i].upper.shape[1:]) for i in before},
        torch.full((groups,), -torch.inf, device=query.rows.device),
    )
    solver = _Solver(query, problem, root)
    open_, scores, found = solver.bound(everywhere, steps=_ROOT_STEPS)
    domains = groups
    if found is None and len(open_.group):
        left = query.deadline - time.monotonic()
        found = attack(query, None, starts=512, steps=80, seconds=_ATTACK * left)
    while found is None and len(open_.group):
        if query.out_of_time():
            return False, None, domains
        # The worst bounds first: all must be raised, and they may hide a violation.
        order = open_.bound.argsort(descending=True)
        rest, worst = order[:-_BATCH], order[-_BATCH:]
        children = _split(open_.select(worst), {i: s[worst] for i, s in scores.items()})
        if children is None:
            return False, None, domains
        domains += len(children.group)
        kept, kept_scores = open_.select(rest), {i: s[rest] for i, s in scores.items()}
        still, new_scores, found = solver.bound(children, steps=_STEPS)
        open_ = kept.join(still)
        scores = {i: torch.cat([s, new_scores[i]]) for i, s in kept_scores.items()}
    return found is None, found, domains


def splittable(program: Program) -> list[int]:
    """Give the steps whose output enters a nonlinearity."""
    return sorted({i for step in program.steps if isinstance(step.op, Nonlinear) for i in step.inputs})


class _Solver:
    """Bounds batches of domains of one query."""

    def __init__(self, query: Query, problem: Problem, root: Sequence[Bounds]) -> None:
        self._query, self._problem, self._root = query, problem, root
        self._program = problem.program

    def bound(self, domains: _Domains, *, steps: int) -> tuple[_Domains, dict[int, Tensor], Point | None]:
        """Give the domains that are not proved, with scores for their next split, and a violation if one is met."""
        count = len(domains.group)
        index = torch.zeros(count, dtype=torch.long, device=domains.group.device)
        regions = self._query.select(index)
        problem = replace(self._problem, regions=regions)
        intervals, empty = self._intervals(domains, regions)
        rows = self._query.rows[domains.group]
        shape = self._program.steps[self._program.output].shape
        form = Dense(None, shape, rows.reshape(*rows.shape[:2], *shape))
        offset = self._query.offset[domains.group]
        value, scores, reached, planes = self._optimise(form, offset, domains, intervals, problem, steps)
        best = torch.maximum(value.amax(1), domains.bound)
        unproved = ~((best > 0) | empty)
        kept = unproved.nonzero().squeeze(1)
        found = self._try(regions, planes, value.argmax(1), kept)
        refined = replace(
            reached,
            lower={i: intervals[i].lower for i in domains.lower},
            upper={i: intervals[i].upper for i in domains.upper},
            bound=best,
        ).select(kept)
        return refined, {i: s[kept] for i, s in scores.items()}, found

    def _intervals(self, domains: _Domains, regions: Sequence[Region]) -> tuple[list[Bounds], Tensor]:
        """Pass the domains' constraints forward by interval arithmetic; an empty interval closes a domain."""
        count = len(domains.group)
        intervals: list[Bounds] = []
        empty = torch.zeros(count, dtype=torch.bool, device=domains.group.device)
        with torch.no_grad():
            for i, step in enumerate(self._program.steps):
                old = self._root[i]
                if old is GONE:
                    intervals.append(step_interval(step, intervals, regions))
                    continue
                new = step_interval(step, intervals, regions)
                low, high = torch.maximum(new.lower, old.lower), torch.minimum(new.upper, old.upper)
                if i in domains.lower:
                    low = torch.maximum(low, domains.lower[i])
                    high = torch.minimum(high, domains.upper[i])
                    # A gap beyond rounding means that no input satisfies the constraints.
                    slack = 1e-5 * (1 + low.abs())
                    empty |= flat(low > high + slack).any(1)
                intervals.append(Bounds(torch.minimum(low, high), torch.maximum(low, high)))
        return intervals, empty

    def _optimise(
        self,
        form: Dense,
        offset: Tensor,
        domains: _Domains,
        intervals: Sequence[Bounds],
        problem: Problem,
        steps: int,
    ) -> tuple[Tensor, dict[int, Tensor], _Domains, dict[int, Tensor]]:
        """Raise the rows' lower bounds over alpha and beta.

        Returns:
            The best bounds; scores for splitting; the domains with the choices reached; and the coefficients of each
            input in the last bounds, {step: (domains, rows, *shape)}.
        """
        thetas = {
            i: Thetas(*_each(pair, lambda t: t.clone().requires_grad_()))
            for i, pair in domains.alphas.items()
        }
        planes: dict[int, Tensor] = {}
        scores: dict[int, Tensor] = {}
        raised = {i: (domains.lower[i] > self._root[i].lower + 1e-9).to(offset.dtype) for i in domains.lower}
        lowered = {i: (domains.upper[i] < self._root[i].upper - 1e-9).to(offset.dtype) for i in domains.upper}
        betas: dict[int, tuple[Tensor, Tensor]] = {}
        for i in domains.lower:
            start = domains.betas.get(i, (None, None))
            low, high = (
                (torch.zeros_like(mask) if old is None else old.clone()).requires_grad_()
                for old, mask in zip(start, (raised[i], lowered[i]), strict=True)
            )
            betas[i] = low, high

        def choose(index: int, here: LinearForm, op: Nonlinear, inputs: Sequence[Bounds]) -> Thetas:
            if index not in thetas:
                thetas[index] = for_each_form(op, here, inputs)
            for source, score in zip(
                self._program.steps[index].inputs, _scores(op, here, inputs), strict=True
            ):
                scores[source] = torch.maximum(scores[source], score) if source in scores else score
            return thetas[index]

        def constrain(index: int, here: LinearForm) -> tuple[LinearForm, Tensor | None]:
            if isinstance(self._program.steps[index].op, Input):
                planes[index] = here.dense().a.detach()
            if index not in betas:
                return here, None
            at_low, at_high = betas[index][0] * raised[index], betas[index][1] * lowered[index]
            dense = here.dense()
            a = dense.a - (at_low - at_high).unsqueeze(1)
            # What pads a maximum is -inf at both ends, and never split.
            low, high = (end[index].nan_to_num(0.0, 0.0, 0.0) for end in (domains.lower, domains.upper))
            constant = flat(at_low * low - at_high * high).sum(1)
            if self._program.sound:  # the multipliers' part in the coefficients and in the sum
                sizes = (at_low + at_high) * magnitude(intervals[index])
                constant = constant - gamma(2 * sizes[0].numel() + 8, sizes.dtype) * flat(sizes).sum(1)
            return dense.with_coefficients(a), constant.unsqueeze(1)

        def evaluate() -> Tensor:
            scores.clear()
            return offset + lower_bound(
                problem, intervals, self._program.output, form, choose=choose, constrain=constrain
            )

        def free() -> list[Free]:
            multipliers = [beta for pair in betas.values() for beta in pair]
            return [Free(tensors_of(list(thetas.values())), _LR_ALPHA, 1.0), Free(multipliers, _LR_BETA)]

        def enough(best: Tensor) -> bool:
            return bool((best.amax(1) > 0).all()) or self._query.out_of_time()

        best = ascend(evaluate, free, steps=steps, decay=_DECAY, enough=enough)
        for i in betas:  # what no backward pass met has nothing to gain
            scores.setdefault(i, torch.zeros_like(intervals[i].lower))
        reached = replace(
            domains,
            alphas={i: _each((pair.lower, pair.upper), Tensor.detach) for i, pair in thetas.items()},
            betas={i: _each(pair, Tensor.detach) for i, pair in betas.items()},
        )
        return best, scores, reached, planes

    def _try(
        self, regions: Sequence[Region], planes: dict[int, Tensor], row: Tensor, kept: Tensor
    ) -> Point | None:
        """Run the points where the open domains' planes are least through the network."""
        if len(kept) == 0:
            return None
        points = []
        for index, step in enumerate(self._program.steps):
            if isinstance(step.op, Input):
                region = regions[step.op.number].select(kept)
                shape = region.center.shape
                a = planes.get(index)
                if a is None:
                    points.append(region.center)
                    continue
                a = a.expand(len(row), *a.shape[1:])[kept, row[kept]]
                points.append(region.minimizer_of(a.reshape(shape)))
        return self._query.violation(tuple(points))


def _scores(op: Nonlinear, form: LinearForm, inputs: Sequence[Bounds]) -> list[Tensor]:
    """Estimate how much a split of each entry of a step's inputs would raise the bound, shapes (domains, *shape).

    Of an elementwise function, by its part in the relaxation's gap; else by how much the entry moves the plane.
    """
    with torch.no_grad():
        if isinstance(op, Unary):
            return [_score(op, form, inputs[0])]
        parts, _ = op.backward(form, inputs, Thetas())
        return [
            torch.where(
                op.unresolved(inputs, i), _WEIGHT * part.dense().a.abs().amax(1) * ends.width + 1e-12, 0.0
            )
            for i, (part, ends) in enumerate(zip(parts, inputs, strict=True))
        ]


def _score(op: Unary, form: LinearForm, ends: Bounds) -> Tensor:
    """Give each neuron's part in the relaxation's gap.

    A negative coefficient pays the upper line's height over the function, a positive one the lower line's depth.
    """
    l, u = ends.lower, ends.upper
    lines = op.relaxation.lines(l, u, None, None)
    middle = torch.zeros_like(l) if isinstance(op.relaxation, ReLU) else (l + u) / 2
    value = op.relaxation(middle)
    above = lines.upper_slope * middle + lines.upper_intercept - value
    a = form.dense().a.detach()
    falling, rising = (-a).clamp(min=0).amax(1), a.clamp(min=0).amax(1)
    unresolved = op.relaxation.unresolved(l, u)
    gap = falling * above + _WEIGHT * rising * torch.minimum(-l, u).clamp(min=0)
    return torch.where(unresolved, gap + 1e-12, 0.0)


def _split(domains: _Domains, scores: dict[int, Tensor]) -> _Domains | None:
    """Cut each domain in two at its neuron of the highest score; None where nothing is left to split."""
    order = sorted(scores)
    if not order:
        return None
    joined = torch.cat([flat(scores[i]) for i in order], 1)
    top, chosen = joined.max(1)
    if bool((top <= 0).any()):
        return None
    first = domains.select(torch.arange(len(top), device=top.device))
    second = domains.select(torch.arange(len(top), device=top.device))
    begin = 0
    for i in order:
        size = scores[i][0].numel()
        where = torch.nn.functional.one_hot((chosen - begin).clamp(0, size - 1), size).bool()
        where &= ((chosen >= begin) & (chosen < begin + size)).unsqueeze(1)
        where = where.view_as(domains.lower[i])
        l, u = domains.lower[i], domains.upper[i]
        point = torch.where((l < 0) & (u > 0), 0.0, (l + u) / 2)
        first.lower[i] = torch.where(where, point, l)
        second.upper[i] = torch.where(where, point, u)
        begin += size
    return first.join(second)
