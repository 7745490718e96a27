"""The driver of all attacks: asks the model, counts, keeps what is best, and ends examples that are done.

A *row* is one input that the model is run on; several rows may belong to one example (probes, targets, restarts). Every
question takes rows with the numbers of their examples (`index`) and gives back an answer for each row.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite import seeding
from robustsuite.attacks.access import Access, way_out
from robustsuite.attacks.criteria import Criterion, Steered, check_outputs
from robustsuite.attacks.keepers import FirstSuccess, Keeper, best_rows, ranks
from robustsuite.attacks.losses import RowLoss
from robustsuite.attacks.lost import with_numbers
from robustsuite.attacks.models import Model, first_outputs
from robustsuite.attacks.result import AttackResult, Trace
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.perturbations import Region
from robustsuite.perturbations.extent import precise

if TYPE_CHECKING:
    from robustsuite.attacks.attack import Attack

_LOST = 2**40
"""Stream of the directions that stand in for NaN, apart from those that attacks draw from."""

_LEAST_ROWS = 128
"""A call of the model takes so many rows even where the caller's batch is smaller."""


class LeftTheRegion(RobustsuiteError, AssertionError):
    """An attack gives an input outside its region: a fault of the attack."""


class Answers(NamedTuple):
    """What a model said of rows; a row that was not sent, for want of budget, is no success and scores -inf.

    Attributes:
        met: whether the row meets the criterion.
        score: what the attack raises.
    """

    met: Bool[Tensor, " rows"]
    score: Float[Tensor, " rows"]


class Slopes(NamedTuple):
    """`Answers`, and the gradient of the score by the input.

    Attributes:
        gradient: finite; see `robustsuite.attacks.lost` for what stands in the place of NaN.
        lost: whether it was NaN, and is random now.
    """

    met: Bool[Tensor, " rows"]
    score: Float[Tensor, " rows"]
    gradient: Float[Tensor, "rows *input"]
    lost: Bool[Tensor, " rows"]


class _State:
    """What is known of each example; shared by all views of one search."""

    def __init__(self, region: Region) -> None:
        center = region.center
        count, device = len(center), center.device
        self.answers: bool | None = None  # whether the model gives scores; None before the first call
        self.best = center.clone()
        self.success = torch.zeros(count, dtype=torch.bool, device=device)
        self.score = torch.full((count,), -torch.inf, dtype=center.dtype, device=device)
        self.distance = torch.full((count,), torch.inf, dtype=precise(center.dtype), device=device)
        self.every = torch.arange(count, device=device)
        self.queries = torch.zeros(count, dtype=torch.int64, device=device)
        self.gradients = torch.zeros(count, dtype=torch.int64, device=device)
        self.events: list[tuple[Tensor, Tensor, Tensor]] = []
        endless = region.radius.isinf()
        self.endless = endless if bool(endless.any()) else None


class Search:
    """One attack on one batch: what an attack's `run` works with.

    Views of a search (`steered`, `limited`, `chunked`, and those that `run` makes) share what was found and what was spent.

    Args:
        model: callable from a batch of inputs to scores (rows, classes) or class numbers (rows,).
        criterion: what is sought, for the examples of the region.
        region: the allowed inputs; its centre is the clean batch.
        seeds: one for each example, of all its random numbers.

    Attributes:
        region: the allowed inputs.
        seeds: of the examples, shape (batch,).
    """

    def __init__(
        self, model: Model, criterion: Criterion, region: Region, seeds: Int[Tensor, " batch"]
    ) -> None:
        self.region, self.seeds = region, seeds
        self._model, self._criterion, self._climbed = model, criterion, criterion
        self._access, self._who = Access.DECISIONS, "the attack"
        self._keeper: Keeper = FirstSuccess()
        self._limit: Tensor | None = (
            None  # queries of each example, all views together, at which this one stops
        )
        self._rows = max(_LEAST_ROWS, len(seeds))
        self._state = _State(region)

    def run(self, attack: Attack, *, stream: int = 0) -> None:
        """Let an attack search on, in a view of its own.

        Args:
            attack: what searches.
            stream: of its random numbers; attacks that share a search take different ones.

        Raises:
            InvalidInput: the attack looks within a radius, and the region's is endless.
        """
        view = copy.copy(self)
        view._access, view._keeper, view._who = attack.access, attack.keeper, type(attack).__name__
        self._who = view._who
        view.seeds = seeding.streamed(self.seeds, stream)
        if self._state.endless is not None and isinstance(view._keeper, FirstSuccess):
            raise InvalidInput(
                f"{view._who} searches within a radius, and the region's is endless; expected a finite radius, or an "
                f"attack that looks for the nearest success{way_out(Access.GRADIENTS, nearest=True)}"
            )
        attack.run(view)

    def on(self, model: Model, index: Int[Tensor, " rows"], criterion: Criterion) -> Search:
        """Give a new search of another model for the examples `index`, with a criterion for these."""
        return Search(model, criterion, self.region.select(index), self.seeds[index])

    def steered(self, loss: RowLoss | None) -> Search:
        """Give a view whose score is `loss`; what counts as success and as the better try stays the criterion's."""
        view = copy.copy(self)
        view._climbed = self._criterion if loss is None else Steered(self._criterion, loss)
        return view

    def limited(self, max_queries: int | None) -> Search:
        """Give a view that sends at most so many more rows of each example; None: as many as this one."""
        if max_queries is None:
            return self
        view, limit = copy.copy(self), self._state.queries + max_queries
        view._limit = limit if self._limit is None else torch.minimum(self._limit, limit)
        return view

    def chunked(self, max_rows: int | None) -> Search:
        """Give a view that calls the model on at most so many rows; None: as this one."""
        view = copy.copy(self)
        view._rows = self._rows if max_rows is None else max_rows
        return view

    @property
    def criterion(self) -> Criterion:
        """What is sought."""
        return self._criterion

    @property
    def best(self) -> Float[Tensor, "batch *input"]:
        """The nearest or first success of each example, else its best try inside."""
        return self._state.best

    @property
    def success(self) -> Bool[Tensor, " batch"]:
        """Whether `best` meets the criterion."""
        return self._state.success

    def begin(self) -> None:
        """Try the clean examples, where that was not done yet."""
        if self._state.answers is None:
            self.decisions(self._state.every, self.region.center)

    def active(self) -> Int[Tensor, " active"]:
        """Give the numbers of the examples that are not done and may still be asked about."""
        every = self._state.every
        going = self.open(every)
        return every if bool(going.all()) else every[going]

    def open(self, index: Int[Tensor, " rows"]) -> Bool[Tensor, " rows"]:
        """Say for each row whether its example is not done and may still be asked about."""
        state = self._state
        going = ~state.success[index]
        if state.endless is not None:  # there may be a nearer success, but for a clean input
            going = going | (state.endless[index] & (state.distance[index] > 0))
        return going if self._limit is None else going & (self.left(index) > 0)

    def left(self, index: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
        """Give how many more queries the examples `index` may make."""
        if self._limit is None:
            return torch.full_like(index, torch.iinfo(torch.int64).max)
        return self._limit[index] - self._state.queries[index]

    def decisions(
        self, index: Int[Tensor, " rows"], inputs: Float[Tensor, "rows *input"]
    ) -> Bool[Tensor, " rows"]:
        """Run the model on rows, and say which meet the criterion."""
        return self._ask(index, inputs, differentiate=False).met

    def scores(self, index: Int[Tensor, " rows"], inputs: Float[Tensor, "rows *input"]) -> Answers:
        """Run the model on rows; say which meet the criterion, and how near the others come."""
        found = self._ask(index, inputs, differentiate=False)
        return Answers(found.met, found.score)

    def gradient(self, index: Int[Tensor, " rows"], inputs: Float[Tensor, "rows *input"]) -> Slopes:
        """Do as `scores`, and give the gradient of the score by the inputs."""
        return self._ask(index, inputs, differentiate=True)

    def fresh(self, index: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
        """Give seeds that the rows' examples have not drawn from: others for each gradient that was spent on them."""
        spent = self._state.gradients[index] + ranks(index, len(self.seeds))
        return seeding.streamed(self.seeds[index], _LOST) + spent

    def climbed(
        self,
        inside: Region,
        index: Int[Tensor, " rows"],
        point: Float[Tensor, "rows *input"],
        found: Slopes,
        size: float,
    ) -> Float[Tensor, "rows *input"]:
        """Step from rows along their gradients, and back into the region; a lost row begins anew at a random point.

        Args:
            inside: the region of the rows.
            index: their examples.
            point: where they are.
            found: what `gradient` said of them.
            size: of the step, in units of the radius.
        """
        stepped = inside.project(point + size * inside.ascent(found.gradient))
        if not bool(found.lost.any()):
            return stepped
        again = inside.select(found.lost).sample_seeded(self.fresh(index[found.lost]))
        return stepped.index_put((found.lost,), again)

    def result(self) -> AttackResult:
        """Give what was found so far.

        Raises:
            LeftTheRegion: the attack gave an input outside the region.
        """
        state = self._state
        inside = self.region.contains(state.best)
        if not bool(inside.all()):
            raise LeftTheRegion(
                f"{self._who} left the region at example {int((~inside).nonzero()[0, 0])}; expected an input inside: "
                "project every row with region.select(index).project"
            )
        distance = self.region.distance(state.best)
        example, queries, known = (
            (torch.cat(parts) if parts else state.queries[:0] for parts in zip(*state.events, strict=True))
            if state.events
            else (state.queries[:0], state.queries[:0], distance[:0])
        )
        trace = Trace(
            example=example, queries=queries, distance=torch.where(known.isinf(), distance[example], known)
        )
        return AttackResult(
            adversarial=state.best,
            success=state.success,
            distance=distance,
            queries=state.queries,
            gradients=state.gradients,
            trace=trace,
        )

    def _ask(self, index: Tensor, inputs: Tensor, *, differentiate: bool) -> Slopes:
        inputs = inputs.detach().to(
            self.region.center.dtype
        )  # success is that of the input as it will be given
        sent = self._sent(index)
        asked, shown = (index, inputs) if sent is None else (index[sent], inputs[sent])
        whole = len(asked) <= self._rows  # small batches are many in environments: nothing is split or joined
        chunks = (
            [(asked, shown)] if whole else zip(asked.split(self._rows), shown.split(self._rows), strict=True)
        )
        parts = [self._run(i, part, differentiate=differentiate) for i, part in chunks if len(i)]
        if not parts:
            empty = torch.zeros(len(index), dtype=inputs.dtype, device=inputs.device)
            return Slopes(empty.bool(), empty - torch.inf, torch.zeros_like(inputs), empty.bool())
        met, kept, score, gradient = (
            torch.cat(column) if len(parts) > 1 else column[0] for column in zip(*parts, strict=True)
        )
        lost = torch.zeros_like(met)
        if differentiate and not bool(gradient.sum().isfinite()):
            gradient, lost = with_numbers(gradient, self.fresh(asked))
        self._count(asked, gradients=differentiate)
        self._keep(asked, shown, met, kept)
        if sent is None:
            return Slopes(met, score, gradient, lost)
        return Slopes(
            torch.zeros_like(sent).masked_scatter(sent, met),
            torch.full_like(sent, -torch.inf, dtype=score.dtype).masked_scatter(sent, score),
            torch.zeros_like(inputs).index_copy(0, sent.nonzero().squeeze(1), gradient),
            torch.zeros_like(sent).masked_scatter(sent, lost),
        )

    def _sent(self, index: Tensor) -> Tensor | None:
        """Say which rows the budgets allow, the first of each example; None: all."""
        if self._limit is None:
            return None
        allowed = ranks(index, len(self.seeds)) < self.left(index)
        return None if bool(allowed.all()) else allowed

    def _run(
        self, index: Tensor, inputs: Tensor, *, differentiate: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give met, the criterion's score, what the attack raises, and its gradient (or the inputs in its place)."""
        every = index is self._state.every
        criterion = self._criterion if every else self._criterion.select(index)
        climbed = self._climbed
        if climbed is self._criterion:
            climbed = criterion
        elif not every:
            climbed = climbed.select(index)
        gradient = None
        with torch.set_grad_enabled(differentiate):
            inputs = inputs.requires_grad_(differentiate)
            outputs = self._outputs(inputs.clone())  # a model may change its own copy in place
            score = climbed.score(outputs)
            if differentiate and score.requires_grad:
                (gradient,) = torch.autograd.grad(score.sum(), inputs, allow_unused=True)
        if differentiate and gradient is None:
            raise InvalidInput(
                "the model's outputs have no gradient by its input; expected a differentiable model: look for "
                f"no_grad, detach, argmax or numpy in its forward{way_out(Access.SCORES)}"
            )
        with torch.no_grad():
            outputs, score = outputs.detach(), score.detach()
            score = score.masked_fill(score.isnan(), -torch.inf)  # no try is worse
            met = criterion.met(outputs)
            found = inputs if gradient is None else gradient
            if climbed is criterion:
                return met, score, score, found
            kept = criterion.score(outputs)
            return met, kept.masked_fill(kept.isnan(), -torch.inf), score, found

    def _outputs(self, inputs: Tensor) -> Tensor:
        """Run the model; the first time, on the clean examples, check what it gives."""
        state = self._state
        if state.answers is not None:
            return self._model(inputs)
        least = getattr(self._criterion, "least_outputs", 2)
        outputs = first_outputs(self._model, inputs, numbers=True, least=least)
        if outputs.dim() == 1 and self._access > Access.DECISIONS:
            raise InvalidInput(
                f"{self._who} asks for {self._access.name.lower()}, and the model gives class numbers; expected scores "
                f"(batch, classes){way_out(Access.DECISIONS)}"
            )
        check_outputs(self._criterion, outputs)
        state.answers = outputs.dim() > 1
        return outputs

    def _count(self, index: Tensor, *, gradients: bool) -> None:
        if index is self._state.every:
            self._state.queries.add_(1)
            if gradients:
                self._state.gradients.add_(1)
            return
        ones = torch.ones_like(index)
        self._state.queries.index_add_(0, index, ones)
        if gradients:
            self._state.gradients.index_add_(0, index, ones)

    def _keep(self, index: Tensor, inputs: Tensor, met: Tensor, score: Tensor) -> None:
        """Keep rows that are better than what their examples have."""
        state = self._state
        score = score.to(state.score.dtype)
        if index is state.every and isinstance(self._keeper, FirstSuccess) and not bool(met.any()):
            # One row for each example, and no success among them: no example has one, or it would not be asked again.
            better = ~state.success & (score > state.score)
            state.score = torch.where(better, score, state.score)
            spread = better.view(-1, *[1] * (inputs.dim() - 1))
            state.best = torch.where(spread, inputs, state.best)
            return
        rows = (met | (~state.success[index] & (score > state.score[index]))).nonzero().squeeze(1)
        if len(rows) == 0:
            return
        index, inputs, met, score = index[rows], inputs[rows], met[rows], score[rows]
        found = self._keeper.judge(self.region, index, inputs, met)
        met, before = found.met, state.success[index]
        better = ~before & (met | (score > state.score[index]))
        key = score
        if found.distance is not None and found.allowed is not None:
            better = torch.where(met, found.distance < state.distance[index], better & found.allowed)
            key = torch.where(met, -found.distance, score)
        rows = better.nonzero().squeeze(1)
        if len(rows) == 0:
            return
        rows = rows[best_rows(index[rows], met[rows], key[rows], len(state.best))]
        at = index[rows]
        state.best[at], state.score[at] = inputs[rows], score[rows]
        hits = rows[met[rows]]
        if len(hits):
            at = index[hits]
            state.success[at] = True
            if found.distance is not None:
                state.distance[at] = found.distance[hits]
            state.events.append((at, state.queries[at], state.distance[at]))
