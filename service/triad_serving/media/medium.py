"""A medium: all that serving knows of it, behind one protocol.

Each medium is one object, made in its own folder beside this file and listed in registry.py. Everything else
loops over the media of a bundle and names none of them. What training adds: triad_training/media/medium.py.

The type variables, in the order in which an example passes through them:
    Spec     what a model reads of the medium; stored in bundle.json
    Asset    what else reading it needs, from other files of the bundle; None for most media
    Raw      what a user sends
    Decoded  completely decoded, so that nothing can fail later; training augments it
    Item     ready for the graph
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from triad_serving.contract.arrays import F32, Feed
from triad_serving.contract.language import Language
from triad_serving.contract.outputs import MediumName
from triad_serving.media.figures import Canvas, Figure, Scale
from triad_serving.media.limits import MediaLimits
from triad_serving.media.padding import Padding

Spec = TypeVar("Spec", contravariant=True)  # noqa: PLC0105 (it is named for what it is)
Asset = TypeVar("Asset")
Raw = TypeVar("Raw")
Decoded = TypeVar("Decoded")
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """One input of the graph. type: as ONNX Runtime names it.

    axes: how many leading axes vary from batch to batch, the items first. fixed: the other axes' lengths.
    """

    name: str
    type: str
    axes: int = 1
    fixed: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Part:
    """What can be hidden at once: tokens [first, last) of one medium; of a grid, its rows and columns."""

    medium: MediumName
    first: int
    last: int
    left: int = 0
    right: int = 0


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A medium's share of the example answers in the OpenAPI document, as JSON.

    report: of `inputs`. attention, occlusion: where in the medium. share: attention on all of it.
    contribution: its Shapley value.
    """

    report: Mapping[str, Any]
    attention: Any
    occlusion: Any
    share: float
    contribution: float


@dataclass(frozen=True, kw_only=True)
class RequestPart:
    """The part of a multipart request that carries a medium.

    schema: its OpenAPI property. encoding: its content type there, where the usual one would be wrong.
    about: a sentence on what is accepted, for the description of the operation.
    """

    schema: Mapping[str, Any]
    encoding: str = ""
    about: str = ""


class Medium(Protocol[Spec, Asset, Raw, Decoded, Item]):
    """See the module. Every `spec` and `asset` is this medium's own."""

    name: MediumName
    titles: Mapping[Language, str]
    request: RequestPart
    examples: Examples | None

    # From a request to the graph

    def max_bytes(self, limits: MediaLimits) -> int:
        """Of its part of a request, which is refused past that while it streams in."""
        ...

    def parse(self, data: bytes) -> Raw | None:
        """A part's bytes, of which there is at least one; None where they say that it is absent.

        Raises DecodeError.
        """
        ...

    def open_asset(self, folder: Path, names: Collection[str]) -> Asset:
        """From a bundle that lists the files `names`. Raises BundleError, SetupError."""
        ...

    def decode(self, raw: Raw, spec: Spec, asset: Asset, limits: MediaLimits) -> Decoded:
        """Raises TooLargeError, UnsupportedFormatError, DecodeError, ParameterError."""
        ...

    def fit(self, decoded: Decoded, spec: Spec, asset: Asset) -> Item:
        """Raises DecodeError."""
        ...

    def read(self, raw: Raw, spec: Spec, asset: Asset, limits: MediaLimits) -> Item:
        """`decode` and `fit` in one, which may be faster than one after the other."""
        ...

    # In the graph

    def inputs(self, spec: Spec) -> tuple[GraphInput, ...]:
        """In the order in which the encoder takes them; the index of rows, NAME_row, is not among them."""
        ...

    def pack(self, items: Sequence[Item], spec: Spec, padding: Padding) -> Feed:
        """`inputs` for these items."""
        ...

    def token_count(self, item: Item, spec: Spec) -> int:
        """Tokens that the graph makes of it."""
        ...

    def length_class(self, item: Item) -> int:
        """Items of one class pad each other at most to twice their length; 0 for the shortest."""
        ...

    def blank(self, spec: Spec, asset: Asset) -> Item:
        """An item of usual size, to warm up with; loads whatever is loaded at first use."""
        ...

    def resized(self, item: Item, spec: Spec, *, longest: bool) -> Item:
        """With as much, or as little, as the graph can be given."""
        ...

    # In words

    def describe_format(self, spec: Spec, asset: Asset) -> object:
        """What a model reads, as /v1/models/NAME/versions/VERSION tells it."""
        ...

    def describe_spec(self, spec: Spec, asset: Asset) -> str:
        """The same as `triad inspect` tells it."""
        ...

    def describe_item(self, item: Item, spec: Spec) -> object:
        """What arrived, as `inputs` of an answer tells it."""
        ...

    def warnings(self, item: Item, spec: Spec) -> Iterator[str]:
        """What was sent that the model could not make full use of."""
        ...

    def describe_attention(self, item: Item, spec: Spec, weights: F32, rollout: F32) -> object:
        """Weight by token, in the coordinates of what was sent."""
        ...

    # Hiding

    def parts(self, item: Item, spec: Spec, *, most: int) -> Sequence[Part]:
        """What can be hidden, one after another, at most so many; together they are the whole item."""
        ...

    def hide(self, item: Item, parts: Sequence[Part], spec: Spec) -> Item | None:
        """The item without some parts; None where nothing is left."""
        ...

    def weight(self, weights: F32, part: Part, spec: Spec) -> float:
        """Sum of the weights by token over a part."""
        ...

    def describe_occlusion(
        self, item: Item, spec: Spec, parts: Sequence[Part], drops: Sequence[float], weights: Sequence[float]
    ) -> object:
        """How the answer falls without each part, and its attention, in the coordinates of what was sent."""
        ...

    # Drawing

    def canvas(self, raw: Raw, spec: Spec, limits: MediaLimits) -> Canvas:
        """What is drawn on, small whatever was sent; raises as `decode` does."""
        ...

    def values(self, section: Any) -> list[float]:
        """Of what describe_attention (weights) or describe_occlusion (drops) returned, in order."""
        ...

    def draw(self, canvas: Any, section: Any, values: Sequence[float], *, scale: Scale, title: str) -> Figure:
        """The values, of which there is at least one, over the canvas."""
        ...

    def notes(self, canvas: Any, figures: Sequence[Figure], language: Language) -> Iterator[str]:
        """What of the medium is not shown. figures: all that were drawn of it."""
        ...


# Of whatever medium: which types go together is known inside each medium only.
AnyMedium: TypeAlias = Medium[Any, Any, Any, Any, Any]
Assets: TypeAlias = Mapping[MediumName, Any]  # by medium, of those that have one
