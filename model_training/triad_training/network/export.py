"""The trained network as one ONNX graph, compared with the network on real examples before anyone gets it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from onnxscript import optimizer
from torch import Tensor, nn

from triad_serving.contract.errors import ExportError
from triad_serving.contract.outputs import ModelOutputs, media_subsets
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import EVERYTHING, Session, input_names, output_names, pack_batch
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageInput
from triad_serving.media.text.spec import UNKNOWN_ID, TextInput
from triad_training.network.model import TriadModel
from triad_training.network.onnx_graph import without_notes

MAX_DRIFT = 1e-4  # largest difference of any output, fp32; of a regression, relative to the target's size
# How many leading axes vary; 1 where not named.
FOLDED = 2**24  # most numbers of a constant that is computed beforehand; the exporter itself stops at 8192
PACKED_AXES = {"token_ids": 2, "pos_ids": 2, "pixels": 1, "samples": 2}


def export_graph(model: TriadModel, spec: PreprocessSpec, tasks: Sequence[Task]) -> bytes:
    """The graph of contract/outputs.py; every packed axis is dynamic. Leaves the model in evaluation mode."""
    graph = _ExportedSignature(model.eval().cpu(), spec, tasks).eval()
    samples = _sample_inputs(spec)
    axes = [range(PACKED_AXES.get(name, 1)) for name in graph.inputs]
    with warnings.catch_warnings():  # torch 2.13's exporter warns of its own use of its own LeafSpec
        warnings.filterwarnings("ignore", "`isinstance", FutureWarning)
        program = torch.onnx.export(
            graph,
            tuple(samples[name] for name in graph.inputs),
            dynamo=True,
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_shapes=(tuple(dict.fromkeys(each, torch.export.Dim.DYNAMIC) for each in axes),),
            verbose=False,
        )
    assert program is not None
    folded = optimizer.optimize(program.model_proto, input_size_limit=FOLDED, output_size_limit=FOLDED)
    return bytes(without_notes(folded).SerializeToString())


def check_parity(
    model: TriadModel, session: Session, spec: PreprocessSpec, examples: Sequence[ModelInputs]
) -> float:
    """Largest difference between network and graph, over all outputs, on the examples' media in every subset.

    Each subset runs as a batch of its own (zero rows of every absent medium), then all of them mixed in one.
    Where an example lacks a medium, another's stands in, so that no subset goes unseen. Degenerate media,
    which no table may hold and every service is sent, stand beside them.
    Raises ExportError past MAX_DRIFT, and where an output of either is not finite.
    """
    complete = _complete([*examples, *degenerate_examples(spec)])
    batches = [[example.only(*subset) for example in complete] for subset in media_subsets(complete[0].media)]
    batches.append([example for batch in batches for example in batch])
    drift = float(np.max([_difference(model, session, spec, batch) for batch in batches]))
    if not drift <= MAX_DRIFT:  # a NaN is a refusal, too
        raise ExportError(
            f"The exported graph drifts from the network by {drift:.2e}; at most {MAX_DRIFT:.0e} is allowed.",
            limit=MAX_DRIFT,
            value=drift,
        )
    return drift


def degenerate_examples(spec: PreprocessSpec) -> list[ModelInputs]:
    """Silence, one click, unknown words, one word, images of one colour, images of one pixel on black."""
    examples: list[ModelInputs] = []
    if spec.text is not None:
        for tokens in (1, spec.text.max_tokens):
            ids_L = np.full(tokens, UNKNOWN_ID, dtype=np.int64)
            tags_L = np.zeros_like(ids_L) if spec.text.pos else None
            spans = tuple((n, n + 1) for n in range(tokens))
            text = TextInput(ids_L=ids_L, pos_L=tags_L, spans=spans, characters=tokens, truncated=False)
            examples.append(ModelInputs(text=text))
    if spec.image is not None:
        size = (spec.image.height, spec.image.width, 3)
        black, white, dot = np.zeros(size, np.uint8), np.full(size, 255, np.uint8), np.zeros(size, np.uint8)
        dot[0, 0] = 255
        for pixels_HW3 in (black, white, dot):
            image = ImageInput(pixels_HW3=pixels_HW3, format="", width=1, height=1, region=(0, 0, 1, 1))
            examples.append(ModelInputs(image=image))
    if spec.audio is not None:
        for samples in (spec.audio.window, spec.audio.max_samples):
            silent, click = np.zeros(samples, np.int16), np.zeros(samples, np.int16)
            click[samples // 2] = 32767
            for samples_T in (silent, click):
                sound = AudioInput(
                    samples_T=samples_T,
                    format="",
                    seconds=samples / spec.audio.sample_rate_hz,
                    sample_rate_hz=spec.audio.sample_rate_hz,
                    truncated=False,
                    peak=float(samples_T.max()) / 32768,
                )
                examples.append(ModelInputs(audio=sound))
    return examples


def _complete(examples: Sequence[ModelInputs]) -> list[ModelInputs]:
    """As many examples, each with every medium that any of these has; items repeat where they are few."""
    texts: list[TextInput | None] = [example.text for example in examples if example.text] or [None]
    images: list[ImageInput | None] = [example.image for example in examples if example.image] or [None]
    sounds: list[AudioInput | None] = [example.audio for example in examples if example.audio] or [None]
    return [
        ModelInputs(text=texts[n % len(texts)], image=images[n % len(images)], audio=sounds[n % len(sounds)])
        for n in range(len(examples))
    ]


class _ExportedSignature(nn.Module):
    """The exported signature: inputs and outputs as positional arrays in the contract's order."""

    def __init__(self, model: TriadModel, spec: PreprocessSpec, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.model = model
        self.inputs = input_names(spec)
        self.outputs = output_names(spec, tasks, EVERYTHING, layers=len(model.fusion.layers))

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(dict(zip(self.inputs, arrays, strict=True)))
        return tuple(outputs[name] for name in self.outputs)


def _sample_inputs(spec: PreprocessSpec) -> dict[str, Tensor]:
    """Sizes that differ, none 0 or 1, and no tensor twice: the exporter would take equal ones for one."""
    rows = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    inputs: dict[str, Tensor] = {}
    if spec.text is not None:
        ids = torch.ones(2, 5, dtype=torch.int64)
        inputs |= {"token_ids": ids, "text_row": rows.clone()}
        if spec.text.pos:
            inputs["pos_ids"] = ids.clone()
    if spec.image is not None:
        pixels = torch.zeros(3, spec.image.height, spec.image.width, 3, dtype=torch.uint8)
        inputs |= {"pixels": pixels, "image_row": rows.clone()}
    if spec.audio is not None:
        length = spec.audio.window + 13 * spec.audio.hop * spec.audio.frames_per_token
        samples = torch.zeros(4, length, dtype=torch.int16)
        inputs |= {"samples": samples, "sample_counts": torch.full((4,), length), "audio_row": rows.clone()}
    return inputs


@torch.inference_mode()
def _difference(
    model: TriadModel, session: Session, spec: PreprocessSpec, batch: Sequence[ModelInputs]
) -> float:
    inputs = {name: torch.from_numpy(array) for name, array in pack_batch(batch, spec).items()}
    expected = {name: tensor.numpy() for name, tensor in model(inputs).items()}
    units = {f"logits.{task}": model.head(task).unit for task in model.heads}
    found = session.run(batch, EVERYTHING)
    distances = [
        np.abs(array - expected[name][b, : len(array)]).max() / units.get(name, 1.0)
        for b, outputs in enumerate(found)
        for name, array in _named(outputs).items()
    ]
    return float(np.max(distances))  # which a NaN among them makes NaN, as Python's own max does not


def _named(outputs: ModelOutputs) -> dict[str, np.ndarray]:
    arrays = {f"logits.{task}": array for task, array in outputs.logits_K.items()}
    for kind, tasks in (("attention", outputs.attention), ("rollout", outputs.rollout)):
        for task, media in tasks.items():
            arrays |= {f"{kind}.{task}.{medium}": array for medium, array in media.items()}
    arrays |= {f"fusion.{layer}": array for layer, array in enumerate(outputs.fusion_HMM, start=1)}
    return arrays | {f"embedding.{part}": array for part, array in outputs.embeddings_D.items()}
