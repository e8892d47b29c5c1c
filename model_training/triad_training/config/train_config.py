"""TrainConfig: everything one training run needs, read from TOML and saved in the bundle."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import TaskType
from triad_serving.inference.bundle import Provenance
from triad_serving.media.audio.spec import AudioSpec, sound_tokens
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.names import MEDIA
from triad_serving.media.text.spec import TextSpec
from triad_training.media.config import AugmentConfig, Fraction, Section
from triad_training.media.pretrained.config import PretrainedConfig, PretrainedImageConfig

MAX_SOUND_TOKENS = 2048  # of one sound: fusion holds 16 bytes and more for each pair of them
Features = Literal["log_mel", "mfcc"]
WordScore = Literal["mutual_information", "chi2"]
PRETRAINED = ("text_encoder", "image_encoder", "audio_encoder")  # fields of ModelConfig
LANGUAGE = re.compile("[a-z]{2}")  # ISO 639-1; anything else in lexicon.stop_words is a file


class DataConfig(Section):
    """The table of examples and its columns; an empty column name: the model shall not read this medium."""

    table: Path = Field(description="CSV, JSON Lines or Parquet; relative to the config file.")
    text: str = Field(default="text", description="Column of the text.")
    image: str = Field(default="image_file_name", description="Column of image paths, relative to the table.")
    audio: str = Field(default="audio_file_name", description="Column of sound paths, relative to the table.")
    split: str = Field(
        default="split", description="Column that says train, validation or test; empty: drawn by `shares`."
    )
    more_splits: tuple[str, ...] = Field(
        default=(),
        description="Other names in that column: rows left alone until `triad evaluate --split NAME`.",
    )
    subset: tuple[MediumName, ...] = Field(
        default=MEDIA,
        min_length=1,
        description="Media to read of those that have a column; rows that have none of them are left out.",
    )
    shares: tuple[float, float, float] = Field(
        default=(0.8, 0.1, 0.1),
        description="Of training, validation and test rows, where there is no column `split`: alike for each "
        "mixture of labels, rows that share an image, a sound or a group together. The same table and "
        "split_seed give the same splits.",
    )
    split_seed: int = Field(default=0, description="Another draws other splits.")
    group: str = Field(
        default="",
        description="Column of what must not stand in two splits: the patient, speaker or page of a row.",
    )
    long_sounds: Literal["refuse", "cut"] = Field(
        default="refuse",
        description="Sounds beyond preprocess.audio.max_s, in training; a service cuts them and says so.",
    )
    cache: str = Field(
        default="runs/cache",
        description="Folder of decoded media, kept between runs and safe to delete; empty: decode each time.",
    )
    cache_gib: float = Field(
        default=20.0, gt=0, description="Size of the cache beyond which it stops to grow."
    )

    @model_validator(mode="after")
    def _shares_are_whole(self) -> DataConfig:
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares must be above 0 and sum to 1, not {', '.join(map(str, self.shares))}")
        return self

    @property
    def columns(self) -> dict[MediumName, str]:
        """Column of each medium that the model reads."""
        names: dict[MediumName, str] = {"text": self.text, "image": self.image, "audio": self.audio}
        return {medium: column for medium, column in names.items() if column and medium in self.subset}


class TaskConfig(Section):
    """One question the model shall learn to answer. An empty cell means: not labelled for this task."""

    type: TaskType = "classification"
    column: str = Field(default="", description="Column of the label; empty: the task's name.")
    labels: tuple[str, ...] = Field(default=(), description="In output order; empty: those of the table.")
    separator: str = Field(default=";", description="Between the labels of one multilabel cell.")
    weight: float = Field(default=1.0, gt=0, description="Of this task's loss in the sum.")
    imbalance: Literal["none", "weights", "focal"] = Field(
        default="none",
        description="weights: rare labels count more (when recall of each matters); focal: hard rows do. "
        "With either, the best epoch is the one of the best F1.",
    )

    @model_validator(mode="after")
    def _regression_has_no_labels(self) -> TaskConfig:
        if self.type == "regression" and self.labels:
            raise ValueError("a regression has no labels")
        return self


class PreprocessConfig(Section):
    """What the graph reads; see triad_serving.contract for each field."""

    text: TextSpec = TextSpec()
    image: ImageSpec = ImageSpec()
    audio: AudioSpec = AudioSpec()

    @model_validator(mode="after")
    def _attends_to_few_enough(self) -> PreprocessConfig:
        tokens = sound_tokens(self.audio.max_samples, self.audio)
        if tokens > MAX_SOUND_TOKENS:
            raise ValueError(
                f"audio: max_s = {self.audio.max_s:g} makes {tokens} tokens of {self.audio.token_s:g} s, and "
                f"at most {MAX_SOUND_TOKENS} can attend to each other; raise frames_per_token"
            )
        return self


class LexiconConfig(Section):
    """The words that the model knows. What training makes of it lies in the bundle as plain text files."""

    user_dictionary: Path | None = Field(
        default=None,
        description="Words that jieba shall not cut apart: products, drugs, names. A file in its format, "
        '"word [frequency] [tag]" a line; relative to the config file.',
    )
    stop_words: tuple[str, ...] = Field(
        default=(),
        description='Words not read at all: of languages ("zh", "en": stopwordsiso) and of files, relative '
        "to the config file, one a line. For long texts, of which max_tokens would cut the end off. Both "
        "lists name numerals and negations (七, seven, 不, not): where they matter, take a file.",
    )
    min_count: int = Field(default=2, ge=1, description="Rarer training words become characters.")
    max_words: int = Field(
        default=0, ge=0, description="Most words in the vocabulary, characters not counted; 0: all."
    )
    select: Literal["frequency"] | WordScore = Field(
        default="frequency",
        description="Which words, where max_words leaves some out: the most frequent, or those that tell "
        "most of the labels: for few examples of long texts. mutual_information prefers telling words that "
        "are frequent, chi2 those that are sure, however rare.",
    )

    @model_validator(mode="after")
    def _selects_from_too_many(self) -> LexiconConfig:
        if self.select != "frequency" and not self.max_words:
            raise ValueError(f"select = {self.select!r} needs max_words: without it every word is taken")
        return self


class ModelConfig(Section):
    """The network. `width` is the one dial: channels of every encoder follow it."""

    width: int = Field(default=96, ge=8, description="Of every token, divisible by heads.")
    heads: int = Field(default=4, ge=1, description="Of self-attention.")
    text_layers: int = Field(default=1, ge=0, description="Of self-attention over words.")
    fusion_layers: int = Field(default=1, ge=0, description="Of self-attention over the tokens of all media.")
    mels: int = Field(default=40, ge=8, description="Bands of the log-mel front end.")
    features: Features = Field(
        default="log_mel", description="mfcc: half as many coefficients of them, for few clean recordings."
    )
    denoise: bool = Field(
        default=False,
        description="Subtracts from each band what its quietest moments hold: for steady noise.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)
    text_encoder: PretrainedConfig | None = Field(default=None, description="Pretrained, in place of ours.")
    image_encoder: PretrainedImageConfig | None = Field(default=None, description="Likewise.")
    audio_encoder: PretrainedConfig | None = Field(default=None, description="Likewise.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelConfig:
        if self.width % self.heads or self.width % 4:
            raise ValueError("width must be divisible by heads and by 4")
        return self


class OptimConfig(Section):
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=1, description="Examples per step, of all processes together.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Peak, of AdamW.")
    weight_decay: float = Field(default=0.05, ge=0, description="Decoupled, on matrices only.")
    warmup: Fraction = Field(default=0.05, description="Share of all steps, before the cosine.")
    l1: float = Field(default=0.0, ge=0, description="Times the sum of |matrix entry|: for sparse weights.")
    average: float = Field(
        default=0.0, ge=0, lt=1, description="Decay per step of the averaged weights that are kept; 0: none."
    )
    task_weights: Literal["config", "uncertainty"] = Field(
        default="config", description="uncertainty: learned, where the tasks' losses are hard to compare."
    )
    alignment: float = Field(
        default=0.0, ge=0, description="Of the term that draws attention to what each medium contributes."
    )
    clip_norm: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Of classification.")
    patience: int = Field(default=5, ge=1, description="Epochs without a better score before it stops.")
    seed: int = Field(default=0, ge=0, lt=2**32)
    workers: int = Field(default=2, ge=0, description="Processes that decode and augment.")
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    resume: bool = Field(default=False, description="Go on from the checkpoint that an interrupted run left.")


class TransferConfig(Section):
    """Start from what another model has learnt: on less data than it saw, or with new labels or tasks."""

    bundle: Path | None = Field(
        default=None, description="A bundle, relative to the config file; matching weights are taken."
    )


class TrainConfig(Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = Field(default="1", pattern=r"^[0-9]+$")
    description: str = ""
    data: DataConfig
    tasks: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], TaskConfig] = Field(min_length=1)
    preprocess: PreprocessConfig = PreprocessConfig()
    lexicon: LexiconConfig = LexiconConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    transfer: TransferConfig = TransferConfig()
    provenance: Provenance = Provenance()

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
    def _reads_something(self) -> TrainConfig:
        if not self.data.columns:
            raise ValueError("data: at least one of text, image and audio must name a column")
        return self

    @model_validator(mode="after")
    def _bands_fit_the_window(self) -> TrainConfig:
        most = self.preprocess.audio.window // 2 + 1
        if self.model.mels > most:
            raise ValueError(
                f"model.mels: at most {most} with this preprocess.audio.window, not {self.model.mels}"
            )
        return self

    @model_validator(mode="after")
    def _tokenizers_need_no_words(self) -> TrainConfig:
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
    def _pretrained_ears_need_no_features(self) -> TrainConfig:
        """A pretrained audio encoder hears the wave, or makes the spectrum that it has learnt on."""
        if self.model.audio_encoder is not None and (self.model.denoise or self.model.features != "log_mel"):
            raise ValueError("model.features, model.denoise: of no use with model.audio_encoder")
        return self

    @property
    def spec(self) -> PreprocessSpec:
        columns = self.data.columns
        return PreprocessSpec(
            text=self.preprocess.text if "text" in columns else None,
            image=self.preprocess.image if "image" in columns else None,
            audio=self.preprocess.audio if "audio" in columns else None,
        )

    def portable(self) -> dict[str, Any]:
        """As JSON has it, for a bundle: files and folders by their name alone, no path of this machine."""
        document = self.model_dump(mode="json")
        document["data"]["table"] = self.data.table.name
        document["data"]["cache"] = DataConfig.model_fields["cache"].default
        document["lexicon"]["stop_words"] = [Path(source).name for source in self.lexicon.stop_words]
        if self.lexicon.user_dictionary is not None:
            document["lexicon"]["user_dictionary"] = self.lexicon.user_dictionary.name
        if self.augment.audio.noise_folder is not None:
            document["augment"]["audio"]["noise_folder"] = self.augment.audio.noise_folder.name
        if self.transfer.bundle is not None:
            document["transfer"]["bundle"] = "/".join(self.transfer.bundle.parts[-2:])
        for name in PRETRAINED:
            if (encoder := document["model"][name]) and Path(encoder["source"]).is_absolute():
                encoder["source"] = Path(encoder["source"]).name
        return document


def load_config(path: Path, overrides: Sequence[str] = (), *, subset: str = "") -> TrainConfig:
    """Reads a TOML file; each override is `section.key=value`, the value as TOML writes it (or a bare word).

    subset: "text+image" for a specialist that reads no other medium, and is named so.
    Raises ConfigError with every problem, each with the name of its field.
    """
    document = read_toml(path)
    if subset:
        overrides = [*overrides, f"data.subset={subset.split('+')}"]
        document["name"] = f"{document.get('name', '')}-{subset.replace('+', '-')}"
    for override in overrides:
        _apply(override, document)
    return with_paths_from(path.parent, parse_config(document, path))


def read_toml(path: Path) -> dict[str, Any]:
    """Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def parse_config(document: Mapping[str, Any], path: Path) -> TrainConfig:
    """path: where the document comes from. Raises ConfigError with every problem."""
    try:
        return TrainConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(map(_complaint, error.errors())) + ".") from error


def _complaint(error: ErrorDetails) -> str:
    """One problem: the field, what is wrong with it, and what was written."""
    field = ".".join(map(str, error["loc"]))
    match error["type"]:
        case "missing":
            return f"{field} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"there is no option {field}"
        case "value_error":
            return f"{field}{': ' if field else ''}{error['msg'].removeprefix('Value error, ')}"
        case _:
            value = error["input"]
            return f"{field}: {error['msg']}" + (
                f", not {value!r}" if isinstance(value, str | int | float) else ""
            )


def with_paths_from(folder: Path, config: TrainConfig) -> TrainConfig:
    """Its relative paths are of this folder."""
    data = config.data.model_copy(update={"table": (folder / config.data.table).resolve()})
    transfer = config.transfer
    if transfer.bundle is not None:
        transfer = transfer.model_copy(update={"bundle": (folder / transfer.bundle).resolve()})
    lexicon = config.lexicon
    sources = tuple(s if LANGUAGE.fullmatch(s) else str((folder / s).resolve()) for s in lexicon.stop_words)
    lexicon = lexicon.model_copy(update={"stop_words": sources})
    if lexicon.user_dictionary is not None:
        lexicon = lexicon.model_copy(update={"user_dictionary": (folder / lexicon.user_dictionary).resolve()})
    sound = config.augment.audio
    if sound.noise_folder is not None:
        sound = sound.model_copy(update={"noise_folder": (folder / sound.noise_folder).resolve()})
    augment = config.augment.model_copy(update={"audio": sound})
    model = config.model.model_copy(
        update={
            name: encoder.model_copy(update={"source": str((folder / encoder.source).resolve())})
            for name in PRETRAINED
            if (encoder := getattr(config.model, name)) and (folder / encoder.source).is_dir()
        }
    )
    return config.model_copy(
        update={"data": data, "transfer": transfer, "lexicon": lexicon, "augment": augment, "model": model}
    )


def _apply(override: str, document: dict[str, Any]) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r}: expected section.key=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise ConfigError(f"--set {override!r}: {section} is not a section.")
    document[last] = value
