"""The data sets of sentences that have names, and their loading."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from robustsuite.sources import Included, Source

if TYPE_CHECKING:
    from robustsuite.data import TextData

REVIEWS = Included("reviews", "made")
SENTIMENT_SENTENCES = Source(
    name="sentiment_sentences",
    files={"train": "sentiment_sentences/train.parquet", "test": "sentiment_sentences/test.parquet"},
    classes=2,
)
SST2 = Source(
    name="sst2",
    files={split: f"sst2/{split}.parquet" for split in ("train", "validation", "test")},
    classes=2,
    hub="stanfordnlp/sst2",
    hub_splits={"train": "train", "validation": "validation"},  # the Hub's test split has no labels
)
# Whole training sentences; validation and test are those of sst2.
SST2_SENTENCES = Source(
    name="sst2_sentences",
    files={
        "train": "sst2_sentences/train.parquet",
        "validation": "sst2/validation.parquet",
        "test": "sst2/test.parquet",
    },
    classes=2,
    hub="SetFit/sst2",
    hub_splits={"train": "train", "validation": "validation", "test": "test"},
)
TEXTS: Mapping[str, Source | Included] = MappingProxyType(
    {source.name: source for source in (REVIEWS, SENTIMENT_SENTENCES, SST2, SST2_SENTENCES)}
)
"""By name."""


def load_text(name: str, split: str, *, first: int | None = None, download: bool = False) -> TextData:
    """Load sentences: one of `TEXTS`, or what else `robustsuite.data.load_text` takes."""
    from robustsuite import data

    data.check_request(name, split, first)
    if name == REVIEWS.name:
        from .reviews import load_reviews

        return load_reviews(split).first(first)
    return data.load_text(name, split, named=TEXTS, first=first, download=download)
