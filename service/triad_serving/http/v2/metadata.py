"""What the protocol tells of the server and its models."""

from __future__ import annotations

from triad_serving.engine.catalog import Catalog, Model
from triad_serving.http.v2.outputs import outputs_of
from triad_serving.http.v2.schemas import (
    ModelConfiguration,
    ModelMetadata,
    TensorConfig,
    TensorMetadata,
)

SERVER = "triad"
PLATFORM = "triad_onnx"
EXTENSIONS = ("binary_tensor_data", "model_configuration")
DATA_TYPES = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "BOOL": "TYPE_BOOL"}  # as model configurations say


def describe_model(catalog: Catalog, model: Model) -> ModelMetadata:
    """Inputs in the order in which attention outputs name the media."""
    return ModelMetadata(
        name=model.name,
        versions=catalog.versions(model.name),
        platform=PLATFORM,
        inputs=[
            TensorMetadata(name=medium, datatype="BYTES", shape=[-1]) for medium in model.bundle.spec.media
        ],
        outputs=[
            TensorMetadata(
                name=output.name,
                datatype=output.datatype,
                shape=[-1, output.width] if output.width else [-1],
            )
            for output in outputs_of(model.bundle)
        ],
    )


def describe_configuration(catalog: Catalog, model: Model) -> ModelConfiguration:
    metadata = describe_model(catalog, model)
    return ModelConfiguration(
        name=metadata.name,
        platform=metadata.platform,
        max_batch_size=0,
        input=[_configure(tensor, optional=True) for tensor in metadata.inputs],
        output=[_configure(tensor) for tensor in metadata.outputs],
    )


def _configure(tensor: TensorMetadata, *, optional: bool | None = None) -> TensorConfig:
    return TensorConfig(
        name=tensor.name, data_type=DATA_TYPES[tensor.datatype], dims=tensor.shape, optional=optional
    )
