"""The end of a run before its beginning: whether the networks of a config can be exported at all."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from triad_serving.contract.errors import ExportError
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_training.media.pretrained.backbone import backbone_types
from triad_training.media.pretrained.low_rank import merge_low_rank
from triad_training.media.pretrained.source import TESTED
from triad_training.network.export import export_graph
from triad_training.network.model import TriadModel
from triad_training.network.parity import check_parity


def rehearse(
    model: TriadModel, spec: PreprocessSpec, tasks: Sequence[Task], examples: Sequence[ModelInputs]
) -> None:
    """Exports and compares, where an architecture takes part that the tests do not know.

    Takes as long as the export at the end. Raises ExportError: better than after the training.
    """
    unknown = sorted(backbone_types(model) - TESTED)
    if not unknown:
        return
    model = copy.deepcopy(model)
    merge_low_rank(model)  # as at the end
    try:
        session = Session(export_graph(model, spec, tasks), spec=spec, tasks=tasks, device="cpu")
        check_parity(model, session, spec, examples)
    except Exception as error:  # torch's exporter and onnxruntime raise whatever they met
        reason = " ".join(str(error).split())[:200]
        raise ExportError(
            f"An encoder of type {', '.join(unknown)} does not become a graph: {reason}"
        ) from error
