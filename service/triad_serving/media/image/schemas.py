"""What an answer says of an image."""

from __future__ import annotations

from pydantic import Field

from triad_serving.contract.schema import DROP, ROLLOUT, Schema


class ImageReport(Schema):
    format: str = Field(examples=["PNG"])
    width: int = Field(description="Pixels as sent, upright.", examples=[28])
    height: int = Field(description="Pixels as sent, upright.", examples=[28])


class Grid(Schema):
    """Over a region of the image as sent; `rows` lists of `columns` numbers, top left first."""

    rows: int = Field(examples=[2])
    columns: int = Field(examples=[2])
    region: tuple[int, int, int, int] = Field(
        description="Left, top, right, bottom, in pixels of the image as sent (upright); it reaches beyond "
        "the image where the model pads, and leaves its edges out where the model crops.",
        examples=[(0, 0, 28, 28)],
    )


class ImageAttention(Grid):
    weights: list[list[float]] = Field(examples=[[[0.1, 0.2], [0.1, 0.07]]])
    rollout: list[list[float]] = Field(description=ROLLOUT, examples=[[[0.1, 0.15], [0.1, 0.1]]])


class ImageOcclusion(Grid):
    drops: list[list[float]] = Field(description=DROP, examples=[[[0.02, 0.2], [0.1, -0.01]]])
    weights: list[list[float]] = Field(description="Attention.", examples=[[[0.1, 0.2], [0.1, 0.07]]])


class ImageFormat(Schema):
    width: int = Field(description="Pixels that images are resized to.", examples=[56])
    height: int = Field(description="Pixels that images are resized to.", examples=[56])
    formats: list[str] = Field(examples=[["JPEG", "PNG"]])
