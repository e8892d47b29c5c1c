"""What an answer says of a text."""

from __future__ import annotations

from pydantic import Field

from triad_serving.contract.schema import DROP, ROLLOUT, Schema


class TextReport(Schema):
    characters: int = Field(description="Unicode code points, as sent.", examples=[9])
    tokens: int = Field(description="Tokens that the model read.", examples=[5])
    truncated: bool = Field(description="Whether tokens past the model's limit were cut off.")


class Word(Schema):
    """`start` and `end` are character offsets in the text as sent."""

    token: str = Field(description="The slice of the text as sent.", examples=["七"])
    start: int = Field(examples=[6])
    end: int = Field(examples=[7])


class WordAttention(Word):
    """One token of the text."""

    weight: float = Field(examples=[0.18])
    rollout: float = Field(description=ROLLOUT, examples=[0.12])


class WordOcclusion(Word):
    """One word, or several in a row of a long text."""

    drop: float = Field(description=DROP, examples=[0.31])
    weight: float = Field(description="Attention.", examples=[0.18])


class TextFormat(Schema):
    max_tokens: int = Field(description="Tokens past it are cut off.", examples=[64])
    vocabulary: int = Field(description="Words and characters that the model knows.", examples=[812])
