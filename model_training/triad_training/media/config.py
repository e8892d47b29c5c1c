"""The sections of a training config that say what to do with each medium, with one entry for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from triad_serving.contract.outputs import MediumName
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.fields.spec import FieldsSpec
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.registry import NAMES
from triad_serving.media.text.spec import TextSpec
from triad_training.media.audio.config import AudioAugment, Features, SpectrumAugment, check_length
from triad_training.media.fields.config import FieldsAugment, FieldsColumns
from triad_training.media.image.config import ImageAugment
from triad_training.media.pretrained.config import PretrainedConfig, PretrainedImageConfig
from triad_training.media.section import Section
from triad_training.media.text.config import LexiconConfig, TextAugment

LEARNT: dict[str, JsonValue] = {"learnt": True}  # of an entry that a user does not set


class MediaColumns(Section):
    """Columns of the table; an empty name: the model shall not read this medium."""

    text: str = Field(default="text", description="Column of the text.")
    image: str = Field(default="image_file_name", description="Column of image paths, relative to the table.")
    audio: str = Field(default="audio_file_name", description="Column of sound paths, relative to the table.")
    fields: FieldsColumns = Field(
        default=FieldsColumns(),
        description="Columns that are fields of the record: { numeric = [...], categorical = [...] }.",
    )
    subset: tuple[MediumName, ...] = Field(
        default=NAMES,
        min_length=1,
        description="Media to read of those that have a column; rows that have none of them are left out.",
    )
    long_sounds: Literal["refuse", "cut"] = Field(
        default="refuse",
        description="Sounds beyond preprocess.audio.max_s, in training; a service cuts them and says so.",
    )

    @model_validator(mode="after")
    def _names_media(self) -> MediaColumns:
        unknown = [medium for medium in self.subset if medium not in NAMES]
        if unknown:
            raise ValueError(f"subset: {unknown[0]!r} is no medium; known: {', '.join(NAMES)}")
        return self

    @property
    def refuse_long(self) -> bool:
        """Whether a file of which the end would be cut off is a problem of the table."""
        return self.long_sounds == "refuse"

    def with_all_media(self) -> Self:
        """The same columns, whatever the subset."""
        return self.model_copy(update={"subset": NAMES})


class PreprocessConfig(Section):
    """What the graph reads; see triad_serving.contract for each field."""

    text: TextSpec = TextSpec()
    image: ImageSpec = ImageSpec()
    audio: AudioSpec = AudioSpec()
    fields: FieldsSpec = Field(
        default=FieldsSpec(), description="Found out by training.", json_schema_extra=LEARNT
    )

    @model_validator(mode="after")
    def _attends_to_few_enough(self) -> PreprocessConfig:
        check_length(self.audio)
        return self


class EncodersConfig(Section):
    """The encoders. `width` is the one dial: channels of every encoder follow it."""

    width: int = Field(default=96, ge=8, description="Of every token, divisible by heads.")
    heads: int = Field(default=4, ge=1, description="Of self-attention.")
    text_layers: int = Field(default=1, ge=0, description="Of self-attention over words.")
    field_layers: int = Field(default=1, ge=0, description="Of self-attention over fields.")
    mels: int = Field(default=40, ge=8, description="Bands of the log-mel front end.")
    features: Features = Field(
        default="log_mel", description="mfcc: half as many coefficients of them, for few clean recordings."
    )
    denoise: bool = Field(
        default=False,
        description="Subtracts from each band what its quietest moments hold: for steady noise.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)
    linear: bool = Field(
        default=True,
        description="Linear experts beside the network: n-grams, colours and gradients, sound statistics.",
    )
    experts: tuple[str, ...] | None = Field(
        default=None, description="Those that were kept; found out by training.", json_schema_extra=LEARNT
    )
    text_encoder: PretrainedConfig | None = Field(
        default=None, description="Pretrained, in place of ours; a source alone is its short form."
    )
    image_encoder: PretrainedImageConfig | None = Field(default=None, description="Likewise.")
    audio_encoder: PretrainedConfig | None = Field(default=None, description="Likewise.")

    @field_validator("text_encoder", "image_encoder", "audio_encoder", mode="before")
    @classmethod
    def _read_short_form(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _heads_divide_width(self) -> EncodersConfig:
        if self.width % self.heads or self.width % 4:
            raise ValueError("width must be divisible by heads and by 4")
        return self

    def with_sources(self, change: Callable[[str, str], str]) -> Self:
        """With other sources of its pretrained encoders. change: from the field's name and the source."""
        changed: dict[str, Any] = {}
        for name in type(self).model_fields:
            encoder = getattr(self, name)
            if isinstance(encoder, PretrainedConfig):
                changed[name] = encoder.model_copy(update={"source": change(name, encoder.source)})
        return self.model_copy(update=changed)


class AugmentConfig(Section):
    """What training may do to the media of its examples, of the training split only.

    All of it is off by default. A share is drawn for each example anew, a value uniformly from its range.
    All but `spectrum` is done between decoding and fitting.
    """

    text: TextAugment = TextAugment()
    image: ImageAugment = ImageAugment()
    audio: AudioAugment = AudioAugment()
    spectrum: SpectrumAugment = SpectrumAugment()
    fields: FieldsAugment = FieldsAugment()

    @property
    def media(self) -> frozenset[MediumName]:
        """Those that it changes at all."""
        default = AugmentConfig()
        return frozenset(medium for medium in NAMES if getattr(self, medium) != getattr(default, medium))

    def without_files(self) -> AugmentConfig:
        """For a bundle, which holds none of them."""
        return self.model_copy(update={"audio": self.audio.model_copy(update={"noise_folder": None})})


class MediaConfig(Section):
    """What of a training config is about the media; see TrainConfig for the rest."""

    data: MediaColumns = MediaColumns()
    preprocess: PreprocessConfig = PreprocessConfig()
    lexicon: LexiconConfig = LexiconConfig()
    model: EncodersConfig = EncodersConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, document: Any) -> Any:
        """Bundles made before there was `lexicon` hold its min_count as model.min_word_count."""
        model = document.get("model") if isinstance(document, dict) else None
        if not isinstance(model, dict) or "min_word_count" not in model:
            return document
        rest = {key: value for key, value in model.items() if key != "min_word_count"}
        lexicon = {"min_count": model["min_word_count"]} | document.get("lexicon", {})
        return document | {"model": rest, "lexicon": lexicon}

    @model_validator(mode="after")
    def _bands_fit_the_window(self) -> MediaConfig:
        most = self.preprocess.audio.window // 2 + 1
        if self.model.mels > most:
            raise ValueError(
                f"model.mels: at most {most} with this preprocess.audio.window, not {self.model.mels}"
            )
        return self

    @model_validator(mode="after")
    def _tokenizers_need_no_words(self) -> MediaConfig:
        """A pretrained text encoder cuts texts as it has learnt to."""
        if self.model.text_encoder is None:
            return self
        spec = self.preprocess.text
        unused = {
            "lexicon": self.lexicon != LexiconConfig(),
            "preprocess.text.pos": spec.pos,
            "preprocess.text.drop_pos": spec.drop_pos,
            "augment.text.split": self.augment.text.split,
        }
        if named := [name for name, is_set in unused.items() if is_set]:
            raise ValueError(f"{', '.join(named)}: of no use with model.text_encoder and its tokenizer")
        return self

    @model_validator(mode="after")
    def _pretrained_ears_need_no_features(self) -> MediaConfig:
        """A pretrained audio encoder hears the wave, or makes the spectrum that it has learnt on."""
        if self.model.audio_encoder is not None and (self.model.denoise or self.model.features != "log_mel"):
            raise ValueError("model.features, model.denoise: of no use with model.audio_encoder")
        return self

    def media_paths_from(self, folder: Path) -> dict[str, Section]:
        """The sections in which a relative path is of this folder, by name.

        A source that is nothing there is the name of a model.
        """

        def found(_: str, source: str) -> str:
            return str((folder / source).resolve()) if (folder / source).exists() else source

        audio = self.augment.audio.with_paths_from(folder)
        return {
            "lexicon": self.lexicon.with_paths_from(folder),
            "augment": self.augment.model_copy(update={"audio": audio}),
            "model": self.model.with_sources(found),
        }

    def portable_media(self) -> dict[str, Section]:
        """The same sections without a path of this machine: files and folders by their name alone."""

        def named(_: str, source: str) -> str:
            return Path(source).name if Path(source).is_absolute() else source

        augment = self.augment.model_copy(update={"audio": self.augment.audio.portable()})
        return {
            "lexicon": self.lexicon.portable(),
            "augment": augment,
            "model": self.model.with_sources(named),
        }
