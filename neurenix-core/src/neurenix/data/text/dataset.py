"""Labelled texts as a dataset."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from neurenix.data.dataset import Dataset, checked_index, class_labels
from neurenix.data.split import stratified_indices


class TextDataset(Dataset):
    """Texts, with a label each where there are some.

    With a `Tokenizer` as its transform, a sample is ``(T,)`` token ids, as long as its own text
    makes them; a `DataLoader` joins samples of different lengths by `Tokenizer.collate`.

    Args:
        texts: The texts.
        labels: One label a text: a class's name, or its number. Names are numbered by ``classes``.
        transform: Applied to each text, as a rule a `Tokenizer`.
        classes: The classes and their order, where they are known already: those of the texts
            that a model was trained on. Another name is then an error, a class without a text a
            warning. By default the names that occur, sorted.

    Attributes:
        texts: The texts.
        labels: The number of each text's class; None without labels.
        classes: The names of the classes; empty where labels are numbers.

    Raises:
        ValueError: There is another number of labels than of texts, or a class is not known.
        TypeError: A text is no string.

    Example:
        >>> from neurenix.data import TextDataset
        >>> dataset = TextDataset(["free prize!", "see you at 8"], ["spam", "ham"])
        >>> dataset.classes, dataset[0]
        (['ham', 'spam'], ('free prize!', 1))
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[str] | Sequence[int] | None = None,
        transform: Callable[[Any], Any] | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        texts = list(texts)
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(
                    f"expected texts (str), got {type(text).__name__} at position {position}: "
                    f"{text!r}"
                )
        numbers: list[int] | None = None
        self.classes: list[str] = [] if classes is None else list(classes)
        if labels is not None:
            numbers = self._numbered(list(labels), classes)
        super().__init__(texts, numbers, transform)

    @property
    def texts(self) -> list[str]:
        """The texts."""
        texts: list[str] = self.data
        return texts

    @property
    def class_counts(self) -> dict[str, int]:
        """The number of texts of each class."""
        counts = Counter(self.labels or [])
        return {name: counts[number] for number, name in enumerate(self.classes)}

    @property
    def collate_fn(self) -> Callable[[list[Any]], Any] | None:
        """What joins samples into a batch; None for the default."""
        return getattr(self.transform, "collate", None)

    def select(self, indices: Iterable[int]) -> TextDataset:
        """A dataset of some of these texts, with the same classes and transform."""
        positions = [checked_index(index, len(self)) for index in indices]
        chosen = object.__new__(type(self))
        chosen.__dict__.update(self.__dict__)
        chosen.data = [self.data[position] for position in positions]
        if self.labels is not None:
            chosen.labels = [self.labels[position] for position in positions]
        return chosen

    def split(self, fraction: float, seed: int = 0) -> tuple[TextDataset, TextDataset]:
        """Set aside a fraction of each class; texts that are alike stay together.

        Args:
            fraction: The part to set aside, above 0 and below 1.
            seed: The same seed gives the same parts.

        Returns:
            The larger part and the part set aside, both in the order of the dataset.

        Raises:
            ValueError: There are no labels, or the fraction is out of range.
        """
        if self.labels is None:
            raise ValueError("expected texts with labels, of which a fraction can be set aside")
        kept, aside = stratified_indices(self.labels, fraction, seed, group_alike(self.texts))
        return self.select(kept), self.select(aside)

    def _numbered(self, labels: list[Any], classes: Sequence[str] | None) -> list[int]:
        if not all(isinstance(label, str) for label in labels):
            numbers = class_labels(labels)
            if classes is not None and any(not 0 <= n < len(classes) for n in numbers):
                raise ValueError(
                    f"expected labels from 0 to {len(classes) - 1}, got {set(numbers)}"
                )
            return numbers
        if classes is None:
            self.classes = sorted(set(labels), key=_in_order)
        known = {name: number for number, name in enumerate(self.classes)}
        unknown = sorted(set(labels) - set(known))
        if unknown:
            raise ValueError(
                f"the labels {', '.join(map(repr, unknown[:5]))} are not among the classes "
                f"{', '.join(map(repr, self.classes))}"
            )
        missing = [name for name in self.classes if name not in set(labels)]
        if missing:
            warnings.warn(f"no text of the class {', '.join(map(repr, missing))}", stacklevel=4)
        return [known[label] for label in labels]


def group_alike(texts: Sequence[str]) -> list[int]:
    """Number texts so that those that are alike share a number.

    Texts that differ only in case or in white space are alike: many tokenizers make the same of
    them, and on both sides of a split they would make a model look better than it is.

    Returns:
        One number a text, counted from 0 in order of first appearance.
    """
    groups: dict[str, int] = {}
    return [groups.setdefault(" ".join(text.split()).casefold(), len(groups)) for text in texts]


def texts_digest(texts: Sequence[str], labels: Sequence[object] | None = None) -> str:
    """One SHA-256 for a list of texts and their labels, whatever their order."""
    named: Sequence[object] = [""] * len(texts) if labels is None else labels
    pairs = sorted(
        hashlib.sha256(f"{label}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
        for text, label in zip(texts, named, strict=True)
    )
    return hashlib.sha256("\n".join(pairs).encode()).hexdigest()


def _in_order(name: str) -> tuple[int, int, str]:
    """Sort names as text, but numbers by their value and first."""
    number = name.isdecimal()
    return (0 if number else 1, int(name) if number else 0, name)
