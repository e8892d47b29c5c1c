"""What the service says about its models."""

from __future__ import annotations

from triad_serving.engine.catalog import Catalog
from triad_serving.http.schemas import ModelInputFormats, ModelList, ModelReport, ModelVersion, TaskReport
from triad_serving.inference.bundle import Bundle
from triad_serving.media.registry import present


def describe_all(catalog: Catalog) -> ModelList:
    models = [describe_model(catalog, name) for name in catalog.names]
    return ModelList(default=catalog.names[0], models=models)


def describe_model(catalog: Catalog, name: str) -> ModelReport:
    """Raises NotFoundError."""
    model = catalog.find(name)
    return ModelReport(
        name=model.name,
        description=model.bundle.manifest.description,
        default_version=model.version,
        versions=catalog.versions(name),
        media=list(model.bundle.spec.media),
        tasks=[task.name for task in model.bundle.tasks],
    )


def describe_version(catalog: Catalog, name: str, version: str) -> ModelVersion:
    """Raises NotFoundError."""
    model = catalog.find(name, version)
    manifest = model.bundle.manifest
    return ModelVersion(
        name=manifest.name,
        version=manifest.version,
        created=manifest.created,
        description=manifest.description,
        parameters=manifest.parameters,
        device=model.session.device,
        precision=model.precision,
        inputs=_input_formats(model.bundle),
        tasks=[
            TaskReport(
                name=task.name,
                type=task.type,
                labels=list(task.labels),
                thresholds=list(task.thresholds) or None,
                abstain_below=task.abstain_below or None,
            )
            for task in manifest.tasks
        ],
        metrics=manifest.metrics,
        retrieval=manifest.retrieval or None,
        data=manifest.provenance.data,
        licence=manifest.provenance.licence,
        intended_use=manifest.provenance.intended_use,
    )


def _input_formats(bundle: Bundle) -> ModelInputFormats:
    formats = {
        medium.name: medium.describe_format(own, bundle.assets.get(medium.name))
        for medium, own in present(bundle.spec)
    }
    return ModelInputFormats().model_copy(update=formats)
