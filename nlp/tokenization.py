"""Words and their numbers: a vocabulary learnt from sentences, and batches of token indices of one length."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from robustsuite.arguments import check_kind, check_number
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import files

PADDING, UNKNOWN = "<pad>", "<unk>"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|'[^\W_]+|[^\w\s]|_")


def split_words(sentence: str) -> list[str]:
    """Split a sentence into lower-case words and single punctuation marks.

    Example:
        >>> split_words("It isn't bad, is it?")
        ['it', "isn't", 'bad', ',', 'is', 'it', '?']
    """
    return _WORD.findall(sentence.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The words that have a number of their own. Number 0 is padding, 1 stands for every unknown word.

    Args:
        words: distinct, the first two `PADDING` and `UNKNOWN`.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[:2] != (PADDING, UNKNOWN) or len(set(self.words)) != len(self.words):
            raise InvalidInput(
                f"vocabulary starts with {self.words[:2]}; expected {(PADDING, UNKNOWN)} and distinct words"
            )

    @classmethod
    def learn(cls, sentences: Iterable[str], *, largest: int = 20_000, least_count: int = 1) -> Vocabulary:
        """Take the most frequent words of `sentences`; ties in alphabetical order.

        Args:
            sentences: of the training data.
            largest: size with the two special entries, >= 2.
            least_count: rarer words are unknown ones, >= 1.
        """
        check_number("largest", largest, integer=True, least=2)
        check_number("least_count", least_count, integer=True, least=1)
        counts = Counter(word for sentence in sentences for word in split_words(sentence))
        kept = sorted((word for word in counts if counts[word] >= least_count), key=lambda w: (-counts[w], w))
        return cls((PADDING, UNKNOWN, *kept[: largest - 2]))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, sentences: Sequence[str], length: int) -> Int[Tensor, "n length"]:
        """Give token indices, padded on the left; of longer sentences the first `length` words.

        Padding stands on the left so that a recurrent network reads the words last.

        Raises:
            InvalidInput: a sentence without a word, or `length` < 1.
        """
        check_number("length", length, integer=True, least=1)
        check_kind(sentences, (list, tuple), "sentences", "a list of texts")
        rows = torch.zeros(len(sentences), length, dtype=torch.long)
        for row, sentence in enumerate(sentences):
            numbers = [self._numbers.get(word, 1) for word in split_words(sentence)[:length]]
            if not numbers:
                raise InvalidInput(f"sentence {row} is {sentence!r}; expected at least one word")
            rows[row, length - len(numbers) :] = torch.tensor(numbers)
        return rows

    def decode(self, tokens: Int[Tensor, "n length"]) -> list[str]:
        """Give the words of each row, joined by spaces, without padding."""
        return [" ".join(self.words[number] for number in row if number != 0) for row in tokens.tolist()]

    def save(self, path: Path) -> None:
        """Write the words as JSON, in one step."""
        files.write_text(path, json.dumps(self.words, ensure_ascii=False, indent=0))

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            CheckpointError: missing or damaged.
        """
        path = files.checked_path(path)
        try:
            return cls(tuple(map(str, json.loads(path.read_text(encoding="utf-8")))))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"no vocabulary at '{path}' ({reason}); train the recipe again") from None
