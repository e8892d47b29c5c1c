"""What an answer says of a record's fields."""

from __future__ import annotations

from pydantic import Field

from triad_serving.contract.schema import DROP, ROLLOUT, Schema


class FieldsReport(Schema):
    given: list[str] = Field(description="Fields that were sent.", examples=[["age", "sex"]])
    missing: list[str] = Field(
        description="Fields that the model reads and that were not sent.", examples=[["temperature"]]
    )


class FieldAttention(Schema):
    """One field that was sent."""

    name: str = Field(examples=["age"])
    weight: float = Field(examples=[0.18])
    rollout: float = Field(description=ROLLOUT, examples=[0.12])


class FieldOcclusion(Schema):
    """One field that was sent, or several in a row where there are many: their names, joined by commas."""

    name: str = Field(examples=["age"])
    drop: float = Field(description=DROP, examples=[0.31])
    weight: float = Field(description="Attention.", examples=[0.18])


class NumericFormat(Schema):
    """Smaller and larger numbers are read as `low` and `high`."""

    name: str = Field(examples=["age"])
    low: float = Field(examples=[1.0])
    median: float = Field(examples=[54.0])
    high: float = Field(examples=[94.0])


class CategoricalFormat(Schema):
    name: str = Field(examples=["sex"])
    labels: list[str] = Field(description="Those that the model knows.", examples=[["F", "M"]])


class FieldsFormat(Schema):
    numeric: list[NumericFormat]
    categorical: list[CategoricalFormat]
