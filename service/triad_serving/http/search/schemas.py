"""What the routes of indexes answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from triad_serving.contract.schema import Absent, Schema
from triad_serving.http.schemas import Number
from triad_serving.inference.answer import Medium
from triad_serving.inference.embedding import Part

Value = str | Number


class SearchQuery(Schema):
    """Where to search."""

    index: str | Absent = Field(
        default=None, description="Name of the index; by default the first by name.", examples=["digits"]
    )
    by: Part | Absent = Field(
        default=None,
        description="Which vectors of the rows are compared: `fused`, or those of one medium; by default "
        "every medium's, and the closest counts.",
        examples=["image"],
    )


class SearchResult(Schema):
    row: str = Field(description="The row's id.", examples=["17"])
    score: float = Field(description="Cosine of the two vectors: 1 is the same.", examples=[0.93])
    matched: Part = Field(description="Which of the row's vectors was the closest.", examples=["image"])
    columns: dict[str, Value] = Field(examples=[{"digit": "7"}])
    text: str | Absent = Field(
        default=None, description="The row's text, of an index that shows media.", examples=["seven"]
    )
    media: dict[Medium, str] = Field(
        description="Where the row's media are, of an index that shows them.",
        examples=[{"image": "/v1/indexes/digits/rows/17/image"}],
    )


class SearchAnswer(Schema):
    id: str = Field(description="Also in `X-Request-ID`.", examples=["req-5f2b1c0a9d3e4f60"])
    model: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    index: str = Field(examples=["digits"])
    results: list[SearchResult] = Field(description="The closest rows, the closest first.")
    warnings: list[str] = Field(
        description="What may make the answer worse than it could be.", examples=[["The sound is silent."]]
    )


class ColumnReport(Schema):
    """A column to filter by."""

    name: str = Field(examples=["digit"])
    type: Literal["number", "category", "string"] = Field(
        description="`category`: strings, few enough to list in `values`."
    )
    values: list[str] | Absent = Field(default=None, examples=[["0", "1"]])
    low: float | Absent = Field(default=None, description="The least number.", examples=[1.0])
    high: float | Absent = Field(default=None, description="The greatest number.", examples=[99.0])


class IndexReport(Schema):
    name: str = Field(examples=["digits"])
    model: str = Field(description="Whose vectors it holds.", examples=["digits"])
    version: str = Field(examples=["1"])
    rows: int = Field(examples=[300])
    width: int = Field(description="Numbers in each vector.", examples=[64])
    vectors: Literal["float32", "float16", "int8"] = Field(description="Type of the stored numbers.")
    media: list[Medium] = Field(
        description="Whose vectors it holds, besides `fused`.", examples=[["text", "image", "audio"]]
    )
    shows_media: bool = Field(description="Whether rows' media can be fetched.")
    columns: list[ColumnReport]


class IndexList(Schema):
    indexes: list[IndexReport]


class RowStored(Schema):
    """It is on the disk, and every search from now on finds it."""

    id: str = Field(description="Of the request.", examples=["req-5f2b1c0a9d3e4f60"])
    index: str = Field(examples=["digits"])
    row: str = Field(description="The row's id.", examples=["17"])
    warnings: list[str] = Field(examples=[[]])
