"""TrainConfig: everything one training run needs, as the TOML file has it and as a bundle keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from triad_serving.contract.tasks import HEARD, TaskType
from triad_serving.inference.bundle import Provenance
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.registry import NAMES
from triad_training.media.config import EncodersConfig, MediaColumns, MediaConfig
from triad_training.media.encoders import spec_of
from triad_training.media.preset import Preset
from triad_training.media.section import Fraction, Section

ContrastLoss = Literal["softmax", "sigmoid"]


class DataConfig(MediaColumns):
    """The table of examples, its columns and its splits."""

    table: Path = Field(description="CSV, JSON Lines or Parquet; relative to the config file.")
    split: str = Field(
        default="split", description="Column that says train, validation or test; empty: drawn by `shares`."
    )
    more_splits: tuple[str, ...] = Field(
        default=(),
        description="Other names in that column: rows left alone until `triad evaluate --split NAME`.",
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
    decide: Literal["f1", "precision", "recall"] = Field(
        default="f1",
        description="How a multilabel's thresholds are chosen on validation: for the best F1, or to reach a "
        "precision or a recall of `at_least` with the most of the other.",
    )
    at_least: Fraction = Field(default=0.9, description="Precision or recall that `decide` shall reach.")
    abstain_below: Fraction = Field(
        default=0.0, description="Probability below which a classification's answer is marked as abstained."
    )

    unit: Literal["word", "character"] = Field(
        default="word",
        description="Symbols of a transcript: what stands between blanks (words, syllables), or characters.",
    )
    context: int = Field(
        default=4,
        ge=0,
        le=8,
        description="Convolutions over a transcript's moments, each twice as far apart: how far it listens.",
    )

    beam: int = Field(
        default=1,
        ge=1,
        description="Beginnings of a transcript that are kept while the likeliest is looked for: 16 with "
        "words or n-grams; 1: what is likeliest at each moment.",
    )
    ngrams: int = Field(
        default=0,
        ge=0,
        le=6,
        description="Symbols of the longest n-grams, of the training transcripts; as far as they help.",
    )
    words: Path | None = Field(
        default=None,
        description="File of the words that a transcript may hold, one a line, relative to the config file.",
    )

    @model_validator(mode="after")
    def _searches_with_a_beam(self) -> TaskConfig:
        if self.beam == 1 and (self.ngrams or self.words):
            raise ValueError("ngrams and words need a beam above 1")
        return self

    @model_validator(mode="after")
    def _regression_has_no_labels(self) -> TaskConfig:
        if self.type == "regression" and self.labels:
            raise ValueError("a regression has no labels")
        return self

    @model_validator(mode="after")
    def _decides_what_it_answers(self) -> TaskConfig:
        if self.decide != "f1" and self.type != "multilabel":
            raise ValueError(f"decide is of a multilabel, not of a {self.type}")
        if self.abstain_below and self.type != "classification":
            raise ValueError(f"abstain_below is of a classification, not of a {self.type}")
        if self.imbalance != "none" and self.type == "transcript":
            raise ValueError("imbalance is of classes and tags, not of a transcript")
        return self


class ModelConfig(EncodersConfig):
    """The network."""

    fusion_layers: int = Field(default=1, ge=0, description="Of self-attention over the tokens of all media.")
    embedding: int = Field(
        default=128, ge=8, description="Numbers of a vector in the space of optim.contrast."
    )


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
    contrast: float = Field(
        default=0.0,
        ge=0,
        description="Of the term that puts the media of a row near each other in one space, to find one by "
        "another; 0: no such space.",
    )
    contrast_loss: ContrastLoss = Field(
        default="softmax", description="softmax: each among all of its batch; sigmoid: pair by pair."
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
    whole: bool = Field(
        default=False,
        description="Go on with all of it: its words, fields, labels; refused where a weight does not fit.",
    )

    @model_validator(mode="after")
    def _goes_on_with_something(self) -> TransferConfig:
        if self.whole and self.bundle is None:
            raise ValueError("whole needs bundle: what to go on with")
        return self


class ExportConfig(Section):
    int8: Literal["static", "dynamic"] | None = Field(
        default=None,
        description="Put a graph with 8-bit weights beside the other, which CPUs run where it is faster.",
    )
    max_drop: float = Field(
        default=0.1, ge=0, description="Most points of a main score that it may lose on validation rows."
    )


class RunName(Section):
    """What the run and its bundle are called: the first lines of a config."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = Field(default="1", pattern=r"^[0-9]+$")
    description: str = ""


class TrainConfig(MediaConfig, RunName):
    preset: Preset = Field(
        default="default",
        description="Of every option that is not set: as `triad train` finds it out from the table's rows.",
    )
    data: DataConfig
    tasks: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], TaskConfig] = Field(
        default={}, description="None: a model that only embeds; see optim.contrast."
    )
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    transfer: TransferConfig = TransferConfig()
    export: ExportConfig = ExportConfig()
    provenance: Provenance = Provenance()

    @model_validator(mode="after")
    def _reads_something(self) -> TrainConfig:
        if not self.spec.media:
            *others, last = NAMES
            raise ValueError(f"data: at least one of {', '.join(others)} and {last} must name a column")
        return self

    @model_validator(mode="after")
    def _hears_what_it_writes_down(self) -> TrainConfig:
        written = [name for name, task in self.tasks.items() if task.type == "transcript"]
        if written and HEARD not in self.spec.media:
            raise ValueError(f"tasks.{written[0]}: a transcript is of {HEARD}, which the model does not read")
        return self

    @model_validator(mode="after")
    def _learns_something(self) -> TrainConfig:
        if not self.tasks and not self.optim.contrast:
            raise ValueError("tasks: at least one, or optim.contrast above 0")
        if self.optim.contrast and len(self.spec.media) < 2:
            raise ValueError("optim.contrast: needs two media that have a column")
        return self

    @property
    def spec(self) -> PreprocessSpec:
        """What the model reads of each medium that has a column and is in data.subset."""
        return spec_of(self)

    @property
    def has_shared_space(self) -> bool:
        """Whether its media are aligned, so that one can find another."""
        return self.optim.contrast > 0

    def with_paths_from(self, folder: Path) -> TrainConfig:
        """Its relative paths are of this folder."""
        data = self.data.model_copy(update={"table": (folder / self.data.table).resolve()})
        transfer = self.transfer
        if transfer.bundle is not None:
            transfer = transfer.model_copy(update={"bundle": (folder / transfer.bundle).resolve()})
        return self.model_copy(
            update={
                "data": data,
                "tasks": self._with_words(lambda path: (folder / path).resolve()),
                "transfer": transfer,
                **self.media_paths_from(folder),
            }
        )

    def _with_words(self, change: Callable[[Path], Path]) -> dict[str, TaskConfig]:
        """The tasks with other paths of their words."""
        return {
            name: task.model_copy(update={"words": task.words and change(task.words)})
            for name, task in self.tasks.items()
        }

    def portable(self) -> dict[str, Any]:
        """As JSON has it, for a bundle: files and folders by their name alone, no path of this machine."""
        named = {"tasks": self._with_words(lambda path: Path(path.name)), **self.portable_media()}
        document = self.model_copy(update=named).model_dump(mode="json")
        document["data"]["table"] = self.data.table.name
        document["data"]["cache"] = DataConfig.model_fields["cache"].default
        if self.transfer.bundle is not None:
            document["transfer"]["bundle"] = "/".join(self.transfer.bundle.parts[-2:])
        return document
