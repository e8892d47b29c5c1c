"""What a model answers, as tensors: of each task its label and probability, or value, and its attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from triad_serving.contract.errors import ParameterError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_serving.http.v2.tensors import Datatype, Element, Tensor
from triad_serving.inference.answer import (
    Classification,
    Multilabel,
    Prediction,
    Regression,
    TaskPrediction,
    Transcript,
)
from triad_serving.inference.bundle import Bundle

Kind = TypeVar("Kind", Classification, Multilabel, Regression, Transcript)
NOTHING_HEARD = Transcript(text="", probability=0.0, symbols=[])  # of a row without a sound
SEPARATOR = ";"  # of the labels in one cell, as in a table of examples


@dataclass(frozen=True, kw_only=True)
class Output:
    """One tensor of the answer.

    read: the elements of one row. width: how many, 0 for a single one without an axis of its own.
    """

    name: str
    datatype: Datatype
    read: Callable[[Prediction], Sequence[Element]]
    width: int = 0
    of_attention: bool = False

    def tensor(self, rows: Sequence[Prediction], *, column: bool) -> Tensor:
        """column: whether the inputs were of shape [n, 1], as Triton's are where it batches."""
        single = (1,) if column else ()
        return Tensor(
            name=self.name,
            datatype=self.datatype,
            shape=(len(rows), *((self.width,) if self.width else single)),
            elements=[element for row in rows for element in self.read(row)],
        )


def outputs_of(bundle: Bundle) -> list[Output]:
    """All, in the order of the tasks."""
    return [output for task in bundle.tasks for output in _of_task(task, bundle.spec.media)]


def wanted_outputs(bundle: Bundle, names: Sequence[str]) -> list[Output]:
    """Those named, or all. Raises ParameterError where there is no such output."""
    every = outputs_of(bundle)
    if not names:
        return every
    by_name = {output.name: output for output in every}
    for name in names:
        if name not in by_name:
            known = ", ".join(by_name)
            raise ParameterError(f"There is no output {name[:80]!r}; there are {known}.", field="outputs")
    return [by_name[name] for name in names]


def _of_task(task: Task, media: Sequence[MediumName]) -> Iterator[Output]:
    def of(kind: str, datatype: Datatype, read: Callable[[TaskPrediction], Element]) -> Output:
        return Output(
            name=f"{kind}.{task.name}",
            datatype=datatype,
            read=lambda prediction: [read(prediction.predictions.get(task.name, NOTHING_HEARD))],
        )

    match task.type:
        case "classification":
            yield of("label", "BYTES", lambda answer: _as(Classification, answer).label.encode())
            yield of("probability", "FP32", lambda answer: _as(Classification, answer).probability)
            if task.abstain_below:
                yield of("abstained", "BOOL", lambda answer: bool(_as(Classification, answer).abstained))
        case "multilabel":
            yield of("label", "BYTES", lambda answer: SEPARATOR.join(_as(Multilabel, answer).labels).encode())
            yield Output(
                name=f"probability.{task.name}",
                datatype="FP32",
                read=lambda prediction: _in_order(task, prediction.predictions[task.name]),
                width=len(task.labels),
            )
        case "regression":
            yield of("value", "FP32", lambda answer: _as(Regression, answer).value)
        case "transcript":
            yield of("text", "BYTES", lambda answer: _as(Transcript, answer).text.encode())
            yield of("probability", "FP32", lambda answer: _as(Transcript, answer).probability)
    for medium in media:
        yield _attention(task, medium)


def _attention(task: Task, medium: MediumName) -> Output:
    def read(prediction: Prediction) -> Sequence[Element]:
        if task.name not in prediction.predictions:
            return [0.0]
        attention = prediction.predictions[task.name].attention
        assert attention is not None
        return [attention.modalities[medium]]

    return Output(name=f"attention.{task.name}.{medium}", datatype="FP32", read=read, of_attention=True)


def _in_order(task: Task, answer: TaskPrediction) -> Sequence[Element]:
    """The probability of every label, in the order of the task's."""
    by_label = {each.label: each.probability for each in _as(Multilabel, answer).top}
    return [by_label[label] for label in task.labels]


def _as(kind: type[Kind], answer: TaskPrediction) -> Kind:
    assert isinstance(answer, kind)
    return answer
