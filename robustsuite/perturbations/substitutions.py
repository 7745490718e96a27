"""Word substitution: at most so many positions of a sequence take one of their candidates instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from robustsuite import seeding
from robustsuite.arguments import check_callable, check_kind, check_number
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import features
from robustsuite.perturbations.norms import pairing
from robustsuite.perturbations.perturbation import Perturbation
from robustsuite.perturbations.region import Region, Take

_REACH = 64.0  # of a whole step: so many times what makes the best candidate the nearest


class SubstitutionRegion(Region):
    """Sequences in which at most `budget` positions hold one of their candidates: a finite set.

    Args:
        center: the sequences, shape (batch, positions, *vector).
        candidates: shape (batch, positions, candidates, *vector).
        mask: which of them there are, shape (batch, positions, candidates).
        budget: number of positions, >= 0.
    """

    def __init__(self, center: Tensor, candidates: Tensor, mask: Tensor, budget: int) -> None:
        self.center, self.mask, self.budget = center, mask, min(budget, center.shape[1])
        size = center.shape[2:].numel()
        word = center.reshape(*center.shape[:2], 1, size)
        # As vectors (batch, positions, candidates, size), and as ways from the word.
        self._candidates = torch.where(mask.unsqueeze(3), candidates.reshape(*mask.shape, size), word)
        self._moves = self._candidates - word
        self.lower, self.upper = center, center
        if budget:
            choices = torch.cat([word, self._candidates], 2)
            self.lower, self.upper = choices.amin(2).view_as(center), choices.amax(2).view_as(center)

    @property
    def moves_groups(self) -> bool:
        return True

    def _vectors(self, x: Tensor) -> Tensor:
        """Give sequences as (batch, positions, size)."""
        return x.reshape(*x.shape[:2], x.shape[2:].numel())

    def _gain(self, gradient: Tensor) -> Tensor:
        """Give what each candidate adds to the form ``sum(gradient * x)``, shape (batch, positions, candidates)."""
        return (self._moves * self._vectors(gradient).unsqueeze(2)).sum(3)

    def _keep(self, choice: Tensor, order: Tensor, wanted: Tensor) -> Tensor:
        """Put in the chosen candidates (batch, positions) where `order` is largest, if they are wanted at all."""
        top = order.topk(self.budget, dim=1).indices
        kept = torch.zeros_like(wanted).scatter(1, top, True) & wanted
        index = choice[:, :, None, None].expand(-1, -1, 1, self._candidates.shape[3])
        chosen = self._candidates.gather(2, index).squeeze(2)
        x = torch.where(kept.unsqueeze(2), chosen, self._vectors(self.center))
        return x.view_as(self.center).detach()

    def _best(self, gain: Tensor) -> Tensor:
        """Give the sequence with the largest sum of gains (batch, positions, candidates)."""
        if gain.shape[2] == 0:
            return self.center.detach()
        gain = torch.where(self.mask, gain, -torch.inf)
        most = gain.amax(2)
        return self._keep(gain.argmax(2), most, most > 0)

    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Give the nearest sequence of the set."""
        # |x - word|^2 - |x - candidate|^2, without the squares of x, which would round the difference away.
        way = self._vectors(x - self.center).unsqueeze(2)
        return self._best((self._moves * (2 * way - self._moves)).sum(3))

    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        """Draw positions among those with candidates, and for each a candidate or the word itself."""
        length, count = self.mask.shape[1:]
        if count == 0:
            return self.center.detach()
        drawn = seeding.uniform(seeds, length * count, stream=2).view(-1, length, count)
        order = torch.where(self.mask.any(2), seeding.uniform(seeds, length), 0.0)
        moves = seeding.uniform(seeds, length, stream=1) * (self.mask.sum(2) + 1) > 1
        return self._keep(torch.where(self.mask, drawn, 0.0).argmax(2), order, moves)

    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        """Count the positions in which `x` differs from the centre."""
        return self._vectors(x != self.center).any(2).sum(1).to(x.dtype)

    def contains(
        self, x: Float[Tensor, "batch *input"], *, tolerance: float = 1e-6
    ) -> Bool[Tensor, " batch"]:
        slack = self._vectors(tolerance * (1 + self.upper.abs().maximum(self.lower.abs())))
        stays = (self._vectors(x - self.center).abs() <= slack).all(2)
        gap = (self._vectors(x).unsqueeze(2) - self._candidates).abs()
        taken = ((gap <= slack.unsqueeze(2)).all(3) & self.mask).any(2)
        return (stays | taken).all(1) & ((~stays).sum(1) <= self.budget)

    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Go along the gradient, so far that a small part of the step makes the best candidate the nearest.

        A whole step leads, once projected, near the best sequence of the linear approximation.
        Source: Ebrahimi et al. 2018 (HotFlip), section 3, as a projected step.
        """
        gain, square = self._gain(gradient), self._moves.square().sum(3)
        # x + t g is nearer to the candidate x + m than to x where 2 t g.m > m.m.
        enough = torch.where(gain > 0, square / (2 * torch.where(gain > 0, gain, 1.0)), torch.inf)
        least = functional.pad(enough.flatten(1), (0, 1), value=torch.inf).amin(1)
        reach = torch.where(least.isfinite(), _REACH * least, 0.0)
        return (self._vectors(gradient) * reach[:, None, None]).view_as(gradient).detach()

    def minimizer_of(self, a: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return self._best(-self._gain(a))

    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        """Give the least value of the linear forms: the best candidates of the `budget` best positions.

        Source: Xu et al. 2020, appendix (word substitution), where a dynamic programme over positions and budget
        gives the same value: the positions do not depend on each other.
        """
        a = a.flatten(2)
        at_center = pairing(a, take(self.center).flatten(1).unsqueeze(1))
        if self.budget == 0 or self.mask.shape[2] == 0:
            return at_center
        taken = torch.stack([take(m.view_as(self.center)).flatten(1) for m in self._moves.unbind(2)], 2)
        each = (self.mask.shape[1], self._moves.shape[3])
        taken = taken.unflatten(1, each)  # rows, positions, size, candidates
        form = a.unflatten(2, each).transpose(1, 2)  # rows, positions, specs, size
        gain = torch.matmul(form, taken).amin(3).clamp(max=0)
        return at_center + gain.topk(self.budget, dim=1, largest=False).values.sum(1)

    def select(self, index: Tensor) -> SubstitutionRegion:
        return SubstitutionRegion(self.center[index], self._candidates[index], self.mask[index], self.budget)


@dataclass(frozen=True, slots=True, eq=False)
class Substitutions(Perturbation):
    """At most `budget` positions of a sequence of vectors take one of the candidates for their place.

    The candidates belong to a batch, so unlike its siblings this threat model is that of one batch of examples.

    Args:
        candidates: vectors, shape (batch, positions, candidates, *vector), `vector` usually one axis, the
            embedding's. Gradients flow into them.
        mask: which candidates there are, booleans of shape (batch, positions, candidates); None: all.
        budget: most positions that change, >= 0; None: any number.
        share: how far of the way from a vector to a candidate is allowed, in [0, 1]: 1 is the candidate itself.
            Certified training lets it rise from 0.

    Raises:
        InvalidInput: shapes that do not fit each other, a candidate with NaN or infinity, a negative budget, or a
            share out of its range.

    Source: Jia et al. 2019, section 2 (the threat model); Xu et al. 2020 (the budget).

    Example:
        >>> import torch
        >>> from robustsuite import Substitutions
        >>> table = torch.nn.Embedding(10, 4)
        >>> tokens = torch.tensor([[1, 2, 3]])
        >>> words = Substitutions.from_tokens(tokens, table, {1: (4, 5), 3: (6,)}, budget=1)
        >>> region = words.around(table(tokens))
    """

    candidates: Tensor
    mask: Tensor | None = None
    budget: int | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        c, mask = self.candidates, self.mask
        features.check_batch(c, "candidates")
        if c.dim() < 3 or not c.is_floating_point():
            raise InvalidInput(
                f"candidates have shape {tuple(c.shape)} and dtype {c.dtype}; expected floating point vectors "
                "(batch, positions, candidates, *vector)"
            )
        if mask is not None:
            check_kind(
                mask, Tensor, "mask", f"booleans of shape {tuple(c.shape[:3])}, or None for all candidates"
            )
        if mask is not None and (mask.shape != c.shape[:3] or mask.dtype != torch.bool):
            raise InvalidInput(
                f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; expected booleans "
                f"(batch, positions, candidates) = {tuple(c.shape[:3])}"
            )
        if not bool(torch.isfinite(c if mask is None else c[mask.to(c.device)]).all()):
            raise InvalidInput(
                "candidates have NaN or infinite values; remove them, or leave them out by the mask"
            )
        check_number("budget", self.budget, integer=True, least=0, optional=True)
        check_number("share", self.share, least=0, most=1)

    @classmethod
    def from_tokens(
        cls,
        tokens: Int[Tensor, "batch positions"],
        embed: Callable[[Tensor], Tensor],
        synonyms: Mapping[int, Sequence[int]],
        *,
        budget: int | None = None,
    ) -> Substitutions:
        """Give each token's synonyms as candidates, for the batch whose centre is ``embed(tokens)``.

        Args:
            tokens: numbers of the words.
            embed: gives vectors (..., dim) for numbers (...): an `nn.Embedding`, or a function of the last two axes
                where more is added to a word, such as ``lambda t: table(t) + place.unsqueeze(1)`` with vectors
                `place` of shape (positions, dim) for numbers of shape (batch, positions, candidates).
            synonyms: numbers of the words that may stand for a word. A word without any stays as it is.
            budget: most positions that change; None: any number.

        Raises:
            InvalidInput: tokens are not numbers of shape (batch, positions), or a synonym's number is out of range.
        """
        numbers = "a tensor of shape (batch, positions) with numbers of words"
        check_kind(tokens, Tensor, "tokens", numbers)
        check_callable(embed, "embed", "a function from numbers to vectors, such as an nn.Embedding")
        check_kind(synonyms, Mapping, "synonyms", "a dict from a word's number to those of its synonyms")
        if tokens.dim() != 2 or tokens.is_floating_point():
            raise InvalidInput(
                f"tokens have shape {tuple(tokens.shape)} and dtype {tokens.dtype}; expected (batch, positions) "
                "numbers of words"
            )
        words, at = tokens.unique(return_inverse=True)
        others = [[s for s in synonyms.get(word, ()) if s != word] for word in words.tolist()]
        most = max(map(len, others), default=0)
        # Padding by the word itself: its vector is there whatever the table holds.
        rows = [
            [*some, *[word] * (most - len(some))] for word, some in zip(words.tolist(), others, strict=True)
        ]
        table = torch.tensor(rows, dtype=tokens.dtype, device=tokens.device).view(len(words), most)
        counts = torch.tensor([len(some) for some in others], dtype=torch.long, device=tokens.device)
        mask = torch.arange(most, device=tokens.device) < counts[at].unsqueeze(2)
        try:
            vectors = embed(table[at])
        except IndexError:
            raise InvalidInput(
                f"synonyms have numbers up to {int(table.max())}, which the embedding does not have; "
                "leave out words that are not in its vocabulary (see synonym_numbers)"
            ) from None
        return cls(vectors, mask, budget)

    def around(self, x: Float[Tensor, "batch positions *vector"]) -> SubstitutionRegion:
        features.check_finite(x)
        batch, length, _, *vector = self.candidates.shape
        if x.shape != (batch, length, *vector):
            raise InvalidInput(
                f"x has shape {tuple(x.shape)}; the candidates are for (batch, positions, *vector) = "
                f"{(batch, length, *vector)}: pass the vectors of the same sequences"
            )
        candidates = self.candidates.to(x)
        mask = torch.ones(candidates.shape[:3], dtype=torch.bool) if self.mask is None else self.mask.clone()
        if self.share < 1:
            candidates = torch.lerp(x.unsqueeze(2), candidates, self.share)
        budget = length if self.budget is None else self.budget
        candidates = features.owned(candidates) if candidates is self.candidates else candidates
        return SubstitutionRegion(features.owned(x), candidates, mask.to(x.device), budget)

    def scaled(self, factor: float) -> Substitutions:
        """Give the same candidates at `factor` times the distance, the share of the way at most 1."""
        check_number("factor", factor, least=0)
        return replace(self, share=min(1.0, self.share * factor))

    def describe(self) -> str:
        return f"Substitutions({'any' if self.budget is None else self.budget})"

    @property
    def norm(self) -> str:
        return "Substitutions"

    @property
    def radius(self) -> float | None:
        return self.budget


def synonym_numbers(
    synonyms: Mapping[str, Sequence[str]], vocabulary: Mapping[str, int], *, most: int | None = None
) -> dict[int, tuple[int, ...]]:
    """Give lists of synonyms as numbers of a vocabulary, for `Substitutions.from_tokens`.

    Args:
        synonyms: the words that may stand for a word, best first.
        vocabulary: the number of each word; words that it lacks are left out.
        most: synonyms kept for each word, >= 1; None: all.
    """
    check_number("most", most, integer=True, least=1, optional=True)
    found: dict[int, tuple[int, ...]] = {}
    for word, others in synonyms.items():
        known = [vocabulary[other] for other in others if other in vocabulary and other != word]
        if word in vocabulary and known:
            found[vocabulary[word]] = tuple(known[:most])
    return found
