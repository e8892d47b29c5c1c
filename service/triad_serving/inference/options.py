"""What a request may ask for, besides the media."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from triad_serving.contract.language import Language
from triad_serving.contract.schema import Absent, Schema


class ModelChoice(Schema):
    """Which model is to answer."""

    model: str | Absent = Field(
        default=None,
        description="Name of the model; by default the only one, or the first by name.",
        examples=["digits"],
    )
    version: str | Absent = Field(
        default=None, description="Version of the model; by default its highest.", examples=["1"]
    )


class Options(ModelChoice):
    """What to answer, besides the media themselves."""

    top_k: int = Field(default=5, ge=1, le=1000, description="Most labels listed per task, likeliest first.")
    attention: Literal["none", "modality", "full"] = Field(
        default="modality",
        description="`modality`: how much weight fell on text, image and sound. "
        "`full`: also on which words, image cells and moments.",
    )
    explain: Literal["none", "shapley", "occlusion", "all"] = Field(
        default="none",
        description="`shapley`: what each medium contributed, exactly, and how they interact. `occlusion`: "
        "how the answer changes without each word, image cell and moment; slower. `all`: both.",
    )
    target: str | Absent = Field(
        default=None,
        description="The label to explain, where a task has it; by default the one that is answered.",
        examples=["1"],
    )


class ExplainOptions(Options):
    """What to show: everything, unless less is asked for."""

    attention: Literal["none", "modality", "full"] = Field(
        default="full", description=Options.model_fields["attention"].description
    )
    explain: Literal["none", "shapley", "occlusion", "all"] = Field(
        default="all", description=Options.model_fields["explain"].description
    )
    language: Language | Absent = Field(
        default=None,
        description="Of a picture or page; by default what `Accept-Language` likes best, else English.",
    )
