"""The `triad` command. Bad input ends with exit code 2 and a sentence on stderr."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from triad_serving.contract.errors import SetupError, TriadError
from triad_serving.contract.log_format import LogFormat

if TYPE_CHECKING:  # imported where they are needed: a command starts fast
    from rich.progress import TaskID

    from triad_serving.contract.language import Language
    from triad_serving.inference.options import Options
    from triad_serving.media.example import RawInputs
    from triad_serving.settings import Settings

app = typer.Typer(
    name="triad",
    help="Train one model on text, image, sound and fields; serve it; see what it looked at.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
deploy = typer.Typer(help="Serve from several machines.", no_args_is_help=True)
app.add_typer(deploy, name="deploy")

export_app = typer.Typer(help="Write a bundle as another server wants it.", no_args_is_help=True)
app.add_typer(export_app, name="export")


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class AttentionDetail(StrEnum):
    none = "none"
    modality = "modality"
    full = "full"


class Explanation(StrEnum):
    none = "none"
    shapley = "shapley"
    occlusion = "occlusion"
    all = "all"


class TableEngine(StrEnum):
    local = "local"
    ray = "ray"


class DrawingLanguage(StrEnum):
    en = "en"
    zh = "zh"


class VectorType(StrEnum):
    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


class Preset(StrEnum):
    fast = "fast"
    default = "default"
    best = "best"


class Int8(StrEnum):
    static = "static"
    dynamic = "dynamic"


PATIENCE_S = 1_000_000.0  # of a row of a table: nobody waits for it

ModelName = Annotated[
    str | None, typer.Option(help="Name of a shipped model, or a bundle's folder. Default: the shipped one.")
]
Text = Annotated[str | None, typer.Option(help="A text.")]
ImageFile = Annotated[Path | None, typer.Option(help="An image file.")]
SoundFile = Annotated[Path | None, typer.Option(help="A sound file.")]
FieldsJson = Annotated[
    str | None, typer.Option("--fields", metavar="JSON", help="""Columns of the record: '{"age": 63}'.""")
]
URL_HELP = "a folder, s3://BUCKET/FOLDER, or any URL that fsspec reads."
WithoutWeights = Annotated[
    bool, typer.Option("--without-weights", help="Leave behind what only training needs.")
]
Again = Annotated[
    bool, typer.Option("--again", help="Write a version that is there once more, where it is the same one.")
]
Target = Annotated[str | None, typer.Option(help="The label to explain. Default: the answer.")]


def main() -> None:
    """The console script: every expected error becomes one sentence and exit code 2."""
    try:
        app()
    except TriadError as error:
        _fail(error.detail)
    except ValidationError as error:
        _fail("\n".join(_complaint(each["loc"], each["msg"]) for each in error.errors()))


def _complaint(where: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, where))}: {message.removeprefix('Value error, ')}."


def _fail(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        from triad_serving.http.app import package_version

        print(f"triad {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    *,
    models: Annotated[
        Path | None, typer.Option(help="A bundle or a folder of bundles. Default: the shipped ones.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes. Default: one per usable core where they share models (Linux, on the CPU).",
        ),
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve the Open Inference Protocol over gRPC, too; 0: a free one."
        ),
    ] = None,
    index: Annotated[
        Path | None, typer.Option(help="An index of `triad index`, or a folder of them, to search.")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="auto: CUDA where it can be had.")] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Lines for people, or JSON for machines.")
    ] = None,
) -> None:
    """Serve predictions over HTTP."""
    from triad_serving.settings import METRICS_FOLDER, Settings, usable_cores

    if models is not None:
        os.environ["TRIAD_MODELS"] = str(models.absolute())
    if index is not None:
        os.environ["TRIAD_INDEX"] = str(index.absolute())
    if device is not None:
        os.environ["TRIAD_DEVICE"] = device.value
    if log_format is not None:
        os.environ["TRIAD_LOG_FORMAT"] = log_format.value
    if workers is None:
        from triad_serving.inference.runtime import fork_safe

        workers = usable_cores() if fork_safe(Settings().device) else 1
    if workers > 1:
        os.environ.setdefault("TRIAD_THREADS", str(max(1, usable_cores() // workers)))
    with ExitStack() as stack:
        if workers > 1:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="triad-metrics-"))
            os.environ[METRICS_FOLDER] = folder  # before anything below imports prometheus_client
        from triad_serving.operation import server
        from triad_serving.operation.grpc_port import reserved_grpc_port
        from triad_serving.operation.workers import serve_with_workers

        if grpc_port is not None:
            stack.enter_context(reserved_grpc_port(host, grpc_port))
        settings = Settings()
        bound = stack.enter_context(server.bind(host, port))
        server.warn_where_open(settings, bound)
        if workers == 1:
            server.serve(settings, bound)
        else:
            serve_with_workers(settings, bound, workers)


@deploy.command("ray")
def deploy_ray(
    *,
    models: Annotated[
        Path | None, typer.Option(help="A bundle or a folder of bundles, there on every machine.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="A running cluster, `auto` for this machine's. Default: one is started here."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on, on every machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    min_replicas: Annotated[int, typer.Option(min=1, help="Replicas that are always there.")] = 1,
    max_replicas: Annotated[
        int | None, typer.Option(min=1, help="Most replicas. Default: as many as are always there.")
    ] = None,
    queue: Annotated[
        float, typer.Option(min=1, help="Requests for each replica, past which one more starts.")
    ] = 8,
    cpus: Annotated[float, typer.Option(min=0.1, help="Cores of each replica.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="Share of a GPU of each replica: 0.25.")] = 0,
) -> None:
    """Serve from the machines of a Ray cluster: replicas that grow with their queues."""
    from triad_serving.cluster.deploy import deploy as deploy_on_ray
    from triad_serving.cluster.replicas import Scale
    from triad_serving.settings import Settings

    settings = Settings(models=models.absolute()) if models else Settings()
    scale = Scale(
        min_replicas=min_replicas,
        max_replicas=max_replicas or min_replicas,
        queue=queue,
        cpus=cpus,
        gpus=gpus,
    )
    deploy_on_ray(settings, scale, address=address, host=host, port=port)


@app.command()
def predict(
    *,
    model: ModelName = None,
    text: Text = None,
    image: ImageFile = None,
    audio: SoundFile = None,
    fields: FieldsJson = None,
    attention: Annotated[
        AttentionDetail, typer.Option(help="How much of it to print.")
    ] = AttentionDetail.modality,
    explain: Annotated[
        Explanation,
        typer.Option(help="shapley: by medium; occlusion: by word, cell, moment, field; all: both."),
    ] = Explanation.none,
    target: Target = None,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Most labels listed per task.")] = 5,
    table: Annotated[
        Path | None, typer.Option(help="Predict every row of a table: CSV, JSON Lines or Parquet.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The table to write. The same command goes on after a kill.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="COLUMN", help="Of the table, to stand in --out, too; repeatable."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Threads, or Ray's processes, of a table. Default: one per usable core."),
    ] = None,
    by: Annotated[
        TableEngine, typer.Option("--engine", help="Of a table: this process, or a Ray cluster.")
    ] = TableEngine.local,
    gpus: Annotated[float, typer.Option(min=0, help="Share of a GPU of each of Ray's processes.")] = 0,
) -> None:
    """Predict in this process: one example, printed as the service would answer; or a table."""
    from triad_serving.engine.engine import Engine
    from triad_serving.inference.options import Options

    settings, name = _find_model(model)
    if table is not None or out is not None:
        if table is None or out is None or any((text, image, audio, fields, target)):
            raise SetupError("A table takes --table and --out together, and no example of its own.")
        if attention is AttentionDetail.full or explain is not Explanation.none:
            raise SetupError("Of a table: --attention none or modality, and no --explain.")
        table_options = Options(model=name, attention=attention.value)
        by_ray = gpus if by is TableEngine.ray else None
        _score_table(settings, table, out, options=table_options, keep=keep or [], jobs=jobs, by_ray=by_ray)
        return
    raw = _read_inputs(text, image, audio, fields)
    options = Options(
        model=name,
        top_k=top_k,
        attention=attention.value,
        explain=explain.value,
        target=target,
    )
    with Engine.open(settings.models, settings) as engine:
        print(engine.predict_sync(raw, options).to_json(indent=2))


@app.command()
def explain(
    *,
    model: ModelName = None,
    text: Text = None,
    image: ImageFile = None,
    audio: SoundFile = None,
    fields: FieldsJson = None,
    target: Target = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.")] = None,
    language: Annotated[
        DrawingLanguage | None, typer.Option(help="Default: the environment's, else English.")
    ] = None,
) -> None:
    """Predict in this process; show why: in the terminal, as a picture, as a page."""
    from triad_serving.drawing.compose import compose
    from triad_serving.drawing.html.page import to_html
    from triad_serving.drawing.png.page import drawable, to_png
    from triad_serving.drawing.terminal import to_terminal
    from triad_serving.engine.engine import Engine
    from triad_serving.inference.options import ExplainOptions

    raw = _read_inputs(text, image, audio, fields)
    settings, name = _find_model(model)
    options = ExplainOptions(model=name, target=target)
    chosen = language.value if language else _own_language()
    with Engine.open(settings.models, settings) as engine:
        prediction = engine.predict_sync(raw, options)
        spec = engine.catalog.find(name, None).bundle.spec
    scene = compose(prediction, raw, spec, settings.media_limits, chosen)
    if png is not None:
        picture = compose(prediction, raw, spec, settings.media_limits, drawable(chosen))
        _write(png, to_png(picture, asked=chosen))
    if html is not None:
        _write(html, to_html(scene).encode())
    print(to_terminal(scene, shutil.get_terminal_size().columns), end="")


@app.command()
def inspect(bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")]) -> None:
    """Say what a bundle is, what it expects and how good it is."""
    from triad_serving.inference.bundle import find_bundles, read_bundle
    from triad_serving.operation.inspection import describe_bundle

    for folder in find_bundles(bundle):
        print(describe_bundle(read_bundle(folder)))


@export_app.command()
def triton(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    *,
    out: Annotated[Path, typer.Option(help="The model repository to write NAME/ into.")],
) -> None:
    """For NVIDIA Triton: a model repository, answered by its Python backend."""
    from triad_serving.inference.bundle import read_bundle
    from triad_serving.operation.triton_export import export_triton

    print(f"written to {export_triton(read_bundle(bundle), out)}")


@app.command()
def sign(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    *,
    key: Annotated[
        Path, typer.Option(metavar="FILE", help="An Ed25519 private key, PEM, without a password.")
    ],
) -> None:
    """Sign a bundle, for services that were told the public key (TRIAD_BUNDLE_PUBLIC_KEY)."""
    from triad_serving.inference.bundle import read_bundle
    from triad_serving.inference.signature import sign_bundle

    print(f"written to {sign_bundle(read_bundle(bundle), key)}")


@app.command()
def push(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    url: Annotated[str, typer.Argument(help=URL_HELP)],
    *,
    without_weights: WithoutWeights = False,
    again: Again = False,
) -> None:
    """Put a bundle where other machines find it: URL/NAME/VERSION, verified there."""
    from triad_serving.operation.travel import Terms, push_bundle
    from triad_serving.settings import Settings

    key = Settings().bundle_public_key
    print(push_bundle(bundle, url, Terms(public_key=key, weights=not without_weights, again=again)))


@app.command()
def pull(
    url: Annotated[str, typer.Argument(help=f"A bundle, or what holds NAME/VERSION: {URL_HELP}")],
    folder: Annotated[Path, typer.Argument(help="Where to write NAME/VERSION.")] = Path("models"),
    *,
    without_weights: WithoutWeights = False,
    again: Again = False,
) -> None:
    """Fetch a bundle, or all of a folder; each appears whole and verified, or not at all."""
    from triad_serving.operation.travel import Terms, pull_bundles
    from triad_serving.settings import Settings

    key = Settings().bundle_public_key
    for path in pull_bundles(url, folder, Terms(public_key=key, weights=not without_weights, again=again)):
        print(path)


@app.command()
def index(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    table: Annotated[Path, typer.Argument(help="The table of examples: CSV, JSON Lines or Parquet.")],
    *,
    out: Annotated[Path, typer.Option(help="The index to write. The same command goes on after a kill.")],
    row_id: Annotated[
        str, typer.Option("--id", metavar="COLUMN", help="What names a row. Default: its line.")
    ] = "",
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="To filter by; repeatable. Default: all but the media's."),
    ] = None,
    vectors: Annotated[
        VectorType, typer.Option(help="Numbers of a large index: half or a quarter of the memory.")
    ] = VectorType.float32,
    show_media: Annotated[
        bool, typer.Option("--show-media", help="Let a service show the rows' texts, pictures and sounds.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads. Default: one per usable core.")] = None,
) -> None:
    """Embed every row of a table, and index the vectors: for `triad search` and `triad serve --index`."""
    from triad_serving.engine.engine import Engine
    from triad_serving.scoring.indexing import Indexing, Recipe
    from triad_serving.settings import Settings

    settings = Settings(models=bundle)
    settings = settings.model_copy(update={"threads": jobs or settings.threads, "max_queue_s": PATIENCE_S})
    recipe = Recipe(vectors=vectors.value, row_id=row_id, keep=keep, show_media=show_media)
    with Engine.open(settings.models, settings) as engine, _progress() as advance:
        indexing = Indexing(engine, table, out, recipe)
        advance("rows", indexing.done, indexing.total)
        for _ in indexing.run(settings.threads):
            advance("rows", 1, indexing.total)
        failures = indexing.finish(settings.threads, on_vectors=partial(advance, "vectors"))
    print(f"{indexing.total - len(failures)} rows: {out}")
    for line, problem in failures.items():
        print(f"line {line}: {problem['detail']}", file=sys.stderr)
    if failures:
        raise SystemExit(1)


@app.command()
def reindex(
    folder: Annotated[Path, typer.Argument(metavar="INDEX", help="An index's folder; it may be served.")],
    *,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads. Default: one per usable core.")] = None,
) -> None:
    """Take what was added and deleted while an index was served into its files: searches get faster again."""
    from triad_serving.search.index import Index, fold
    from triad_serving.settings import usable_cores

    Index(folder)
    with _progress() as advance:
        fold(folder, threads=jobs or usable_cores(), on_vectors=partial(advance, "vectors"))


@app.command()
def search(
    folder: Annotated[Path, typer.Argument(metavar="INDEX", help="An index's folder.")],
    *,
    text: Text = None,
    image: ImageFile = None,
    audio: SoundFile = None,
    fields: FieldsJson = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many rows.")] = 10,
    wanted: Annotated[
        str | None, typer.Option("--filter", metavar="JSON", help="""'{"digit": "7"}'; see /v1/search.""")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Compare with the rows' fused, text, image or audio vectors only.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The bundle that the index was made with. Default: where it was.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as the service answers.")] = False,
) -> None:
    """Find the rows of an index that are closest to a text, an image and a sound, in this process."""
    from triad_serving.engine.engine import Engine
    from triad_serving.http.search.report import describe_hits
    from triad_serving.search.conditions import read_condition
    from triad_serving.search.index import Index, Query
    from triad_serving.search.query import compared, query_vectors
    from triad_serving.search.store import EVERYTHING
    from triad_serving.settings import Settings

    found = Index(folder.absolute())
    parts = compared(found.about.parts, by)
    condition = read_condition(wanted, found.about.columns) if wanted else EVERYTHING
    raw = _read_inputs(text, image, audio, fields)
    settings = Settings(models=model or Path(found.about.bundle))
    with Engine.open(settings.models, settings) as engine:
        manifest = engine.catalog.find().bundle.manifest
        found.require_model(manifest)
        embedding = engine.embed_sync(raw)
    query = Query(vectors_D=query_vectors(embedding.vectors_D, parts, manifest), k=k, condition=condition)
    answer = describe_hits(found, found.search(query), request_id=embedding.id, warnings=embedding.warnings)
    if as_json:
        print(answer.to_json(indent=2))
        return
    for each in answer.results:
        columns = "  ".join(f"{name} {value}" for name, value in each.columns.items())
        print(f"{each.score:7.4f}  {each.matched:<6}  row {each.row}  {columns}")


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Whose it is; it stands in the log.")],
    *,
    admin: Annotated[bool, typer.Option("--admin", help="It may also change what is served.")] = False,
    rate: Annotated[
        str | None, typer.Option(metavar="100/minute", help="Most requests, in each worker process.")
    ] = None,
) -> None:
    """Make an API key: shown once, on stderr; its line for TRIAD_API_KEYS_FILE goes to stdout."""
    from triad_serving.http.access.keys import key_line, new_key

    secret = new_key()
    print(key_line(name, secret, admin=admin, rate=rate))
    print(f"The key of {name}, which cannot be shown again: {secret}", file=sys.stderr)


@app.command()
def init(
    table: Annotated[Path, typer.Argument(help="The table of examples: CSV, JSON Lines or Parquet.")],
    *,
    out: Annotated[Path, typer.Option(help="Where to write the configuration.")] = Path("config.toml"),
    preset: Annotated[
        Preset, typer.Option(help="How much to train: a first look, what pays, or all that helps.")
    ] = Preset.default,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="COLUMN", help="What to answer; repeatable. Default: a guess."),
    ] = None,
) -> None:
    """Look at a table and write a training configuration, with a reason for every choice."""
    with _training_extra():
        from triad_training.inspection.document import init as write_config

    print(write_config(table, out, preset=preset.value, targets=targets or []))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="The training configuration, TOML.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the bundle.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one setting; repeatable.")
    ] = None,
    subset: Annotated[
        str, typer.Option(help="text+image, say: a specialist of these media, to compare with.")
    ] = "",
) -> None:
    """Train, calibrate, evaluate, export; write the bundle and its report."""
    with _training_extra():
        from triad_training.layers.distributed import process_index
        from triad_training.train import report_page, train_bundle
    from triad_serving.operation.inspection import describe_bundle

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    bundle = train_bundle(config, out=out, overrides=overrides or [], subset=subset)
    if process_index() == 0:
        print(describe_bundle(bundle))
        print(f"\nhow it was judged\n  {report_page(bundle)}")


@app.command()
def evaluate(
    *,
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    manifest: Annotated[Path, typer.Argument(help="The table of examples.")],
    split: Annotated[str, typer.Option(help="Which rows.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also score with worse and worse media.")
    ] = False,
    removal: Annotated[
        bool, typer.Option("--removal", help="Also remove the parts of the media, most important first.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder to write an HTML report to, both of these included.")
    ] = None,
) -> None:
    """Score a bundle on a table of examples, for every subset of the media."""
    with _training_extra():
        from triad_training.evaluation.evaluate import evaluate_bundle
        from triad_training.evaluation.report.page import write_report

    thorough = report is not None
    evaluation = evaluate_bundle(
        bundle, manifest, split=split, robustness=robustness or thorough, removal=removal or thorough
    )
    if report is not None:
        print(write_report(report, evaluation), file=sys.stderr)
    print(evaluation.json() if as_json else evaluation.table())


@app.command()
def compress(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    *,
    out: Annotated[Path, typer.Option(help="Where to write NAME/VERSION, a new version.")],
    table: Annotated[Path, typer.Option(help="The table of examples that it was trained on.")],
    distill: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", help="Teach a small network: TOML with the sections model and optim."),
    ] = None,
    prune: Annotated[
        float | None,
        typer.Option(min=0, max=0.95, help="Share of the multiplications in heads, channels, units to save."),
    ] = None,
    int8: Annotated[
        Int8 | None, typer.Option(help="8-bit weights, for CPUs; static: activations, too, calibrated.")
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="16-bit floats, for GPUs.")] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="With --int8: keep the original graph, too; CPUs run the faster.")
    ] = False,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Most points of a main score lost in any task and subset of media.")
    ] = 0.5,
    examples: Annotated[
        int | None, typer.Option(min=1, help="Compare on this many test rows, drawn at random. Default: all.")
    ] = None,
) -> None:
    """Make a bundle smaller and faster; print the comparison; refuse where it costs too much."""
    with _training_extra():
        from triad_training.compression.compress import Recipe, compress_bundle

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    recipe = Recipe(distill=distill, prune=prune, int8=int8.value if int8 else None, fp16=fp16, beside=beside)
    compressed = compress_bundle(bundle, table, recipe, out=out, limit=examples)
    print(compressed.comparison.table())
    print(f"\nwritten to {compressed.write(max_drop=max_drop).path}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on stderr, moved by: which one, by how many, of how many."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(name: str, count: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.advance(tasks[name], count)

        yield advance


@contextmanager
def _training_extra() -> Iterator[None]:
    """Raises SetupError where an import within fails because only the serving half is installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is missing: pip install triad-serving[train]") from error


def _score_table(
    settings: Settings,
    table: Path,
    out: Path,
    *,
    options: Options,
    keep: list[str],
    jobs: int | None,
    by_ray: float | None,
) -> None:
    """Exit code 1 where rows failed. by_ray: a Ray cluster scores, each process with this much of a GPU."""
    from triad_serving.engine.engine import Engine
    from triad_serving.scoring.score import Scoring

    changes = {"threads": jobs or settings.threads, "max_queue_s": PATIENCE_S}
    settings = settings.model_copy(update=changes)
    with Engine.open(settings.models, settings) as engine:
        scoring = Scoring(engine, table, out, options=options, keep=keep)
        with typer.progressbar(length=scoring.total, file=sys.stderr, show_pos=True) as bar:
            bar.update(scoring.done)
            if by_ray is None:
                running = scoring.run(settings.threads)
            else:
                from triad_serving.cluster.scoring import Pool, score_with_ray

                pool = Pool(engines=settings.threads, gpus=by_ray)
                running = scoring.run_by(partial(score_with_ray, settings=settings, pool=pool))
            for _ in running:
                bar.update(1)
        scored = scoring.write()
    print(f"{scored.answered} rows answered: {out}")
    if scored.failures is not None:
        print(f"{scored.failed} rows failed: {scored.failures}", file=sys.stderr)
        raise SystemExit(1)


def _find_model(model: str | None) -> tuple[Settings, str | None]:
    """Settings whose models hold it, and its name among them, None for their default."""
    from triad_serving.settings import Settings

    folder = Path(model) if model and Path(model).exists() else None
    return (Settings(models=folder), None) if folder else (Settings(), model)


def _own_language() -> Language:
    """Of the environment. Source: POSIX, which variable goes before which."""
    chosen = next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return "zh" if chosen.startswith("zh") else "en"


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}.") from error


def _read_inputs(text: str | None, image: Path | None, audio: Path | None, fields: str | None) -> RawInputs:
    """What the options hold, read as parts of a request are. Raises DecodeError, SetupError."""
    from triad_serving.media.example import RawInputs
    from triad_serving.media.registry import by_name

    sent = {
        "text": _encode(text),
        "image": _read(image),
        "audio": _read(audio),
        "fields": _encode(fields),
    }
    return RawInputs(**{medium: by_name(medium).parse(data) for medium, data in sent.items() if data})


def _encode(argument: str | None) -> bytes | None:
    """The bytes that the shell gave."""
    return None if argument is None else argument.encode(errors="surrogateescape")


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from error


if __name__ == "__main__":
    main()
