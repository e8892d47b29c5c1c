"""What others may import, and that the installed wheel gets on with an application's own `service`."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import triad_serving
from tests.test_packaging import build, copy_source

PUBLIC = {
    "AsyncTriadClient",
    "Engine",
    "Options",
    "Prediction",
    "RawInputs",
    "Settings",
    "TriadClient",
    "TriadError",
    "build_router",
    "create_app",
}
# An application as many have it: a package called `service`, which brings our routes into its own.
APPLICATION = """\
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from triad_serving import (
    Engine, Options, Prediction, RawInputs, Settings, TriadError, build_router, create_app,
)

import triad_serving
from service.names import PREFIX

MODELS = Path(triad_serving.__file__).parent / "models"
engine = Engine.open(MODELS, Settings(models=MODELS, threads=1))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine:
        yield


app = FastAPI(lifespan=lifespan)
app.include_router(build_router(engine), prefix=PREFIX)
whole: FastAPI = create_app(engine=engine)


def in_process(text: str) -> str:
    with Engine.open(MODELS) as own:
        try:
            prediction: Prediction = own.predict_sync(RawInputs(text=text), Options(attention="full"))
        except TriadError as error:
            return error.detail
        digit = prediction.predictions["digit"]
        assert digit.type == "classification"
        assert digit.attention is not None
        return digit.label + (digit.attention.text or [])[0].token


def ask() -> None:
    with TestClient(app) as client:
        answer = client.post(f"{PREFIX}/v1/predict", data={}, files={"text": (None, "seven")})
    label: str = answer.json()["predictions"]["digit"]["label"]
    print(label, in_process("eight"), Path(triad_serving.__file__).parent)


if __name__ == "__main__":
    ask()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, and all that it depends on; nothing of this checkout."""
    folder = tmp_path_factory.mktemp("application")
    environment = folder / "environment"
    command = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(command, check=True, capture_output=True)
    [packages] = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(build("wheel", copy_source(folder / "source"), folder)) as wheel:
        wheel.extractall(packages)
    # As a path, not as a folder of packages: the checkout's own .pth in it is not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    own = folder / "service"
    own.mkdir()
    (own / "__init__.py").write_text("")
    (own / "names.py").write_text('PREFIX = "/ml"\n')
    (folder / "application.py").write_text(APPLICATION)
    return folder


def run(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=installed, capture_output=True, text=True, check=False
    )


def test_the_public_face_is_what_is_listed_and_documented_there() -> None:
    assert set(triad_serving.__all__) == PUBLIC
    assert triad_serving.__doc__ is not None
    for name in PUBLIC:
        assert f"\n    {name} " in triad_serving.__doc__
        assert getattr(triad_serving, name).__name__ == name
    assert set(dir(triad_serving)) == PUBLIC
    with pytest.raises(AttributeError, match="no attribute 'Batcher'"):
        triad_serving.Batcher  # noqa: B018


def test_the_wheel_puts_no_other_name_into_site_packages(installed: Path) -> None:
    [packages] = (installed / "environment").glob("lib/python*/site-packages")
    names = {path.name for path in packages.iterdir() if not path.name.endswith((".dist-info", ".pth"))}
    assert names == {"triad_serving", "triad_training"}


def test_an_application_with_a_service_package_of_its_own_mounts_the_routes(installed: Path) -> None:
    python = installed / "environment/bin/python"
    command = [str(python), "application.py"]
    ran = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    label, word, place = ran.stdout.split()
    assert (label, word) == ("7", "8eight")
    assert Path(place).is_relative_to(installed)


def test_mypy_knows_the_installed_wheels_types(installed: Path) -> None:
    python = installed / "environment/bin/python"
    once = "--cache-dir=/dev/null"
    checked = run(installed, "mypy", "--strict", once, "--python-executable", str(python), "application.py")
    assert checked.returncode == 0, checked.stdout


def test_pyright_knows_the_installed_wheels_types(installed: Path) -> None:
    python = installed / "environment/bin/python"
    wrong = "from triad_serving import Batcher\nfrom triad_serving import Engine\n\nEngine.open(7)\n"
    (installed / "wrong.py").write_text(wrong)
    files = ("application.py", "wrong.py")
    checked = run(installed, "pyright", "--pythonpath", str(python), "--outputjson", *files)
    found = [
        (Path(each["file"]).name, each["range"]["start"]["line"], each["severity"], each.get("rule"))
        for each in json.loads(checked.stdout)["generalDiagnostics"]
    ]
    assert found == [
        ("wrong.py", 0, "error", "reportAttributeAccessIssue"),
        ("wrong.py", 3, "error", "reportArgumentType"),
    ]
