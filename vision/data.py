"""The image data sets that have names, and their loading."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from robustsuite.sources import Included, Source

if TYPE_CHECKING:
    from robustsuite.data import ImageData

DIGITS = Included("digits", "scikit-learn")
# The official test images, re-split: the first 8,000 train, the last 2,000 test.
MNIST10K = Source(
    name="mnist10k",
    files={"train": "mnist10k/train.parquet", "test": "mnist10k/test.parquet"},
    classes=10,
    hub="ylecun/mnist",
    hub_splits={"train": "test[:8000]", "test": "test[8000:]"},
)
CIFAR10 = Source(
    name="cifar10",
    files={"train": "cifar10/train.parquet", "test": "cifar10/test.parquet"},
    classes=10,
    hub="uoft-cs/cifar10",
    hub_splits={"train": "train", "test": "test"},
)
IMAGES: Mapping[str, Source | Included] = MappingProxyType(
    {source.name: source for source in (DIGITS, MNIST10K, CIFAR10)}
)
"""By name."""


def load_images(name: str, split: str, *, first: int | None = None, download: bool = False) -> ImageData:
    """Load images: one of `IMAGES`, or what else `robustsuite.data.load_images` takes.

    Example:
        >>> digits = load_images("digits", "test")
        >>> digits.x.shape
        torch.Size([360, 1, 8, 8])
    """
    from robustsuite import data

    data.check_request(name, split, first)
    if name == DIGITS.name:
        return _digits(split, first)
    return data.load_images(name, split, named=IMAGES, first=first, download=download)


def _digits(split: str, first: int | None) -> ImageData:
    """Give scikit-learn's 1,797 digits, shuffled once and for all: 1,437 to train, 360 to test."""
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    from robustsuite.data import ImageData, check_split

    parts = {"train": slice(0, 1437), "test": slice(1437, 1797)}
    check_split("digits", split, parts)
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))[parts[split]][:first]
    x = torch.from_numpy(images[order].astype(np.float32) / 16).reshape(-1, 1, 8, 8)
    return ImageData(name=f"digits/{split}", x=x, y=torch.from_numpy(labels[order]).long(), classes=10)
