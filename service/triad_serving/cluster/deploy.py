"""`triad deploy ray`: on a running Ray cluster, or on one that lives as long as the command."""

from __future__ import annotations

import signal
import sys
import threading

from triad_serving.cluster.replicas import NAME, Scale, application, import_serve
from triad_serving.contract.errors import SetupError
from triad_serving.inference.bundle import find_bundles, read_bundle
from triad_serving.settings import Settings


def deploy(settings: Settings, scale: Scale, *, address: str | None, host: str, port: int) -> None:
    """Returns once every replica answers; without an address, after SIGTERM or Ctrl-C.

    address: of a running cluster, `auto` for this machine's; None starts one here.
    Raises BundleError; SetupError where Ray is missing, is not reached, or does not start the replicas.
    """
    serve = import_serve()
    import ray
    from ray.serve.config import HTTPOptions

    for folder in find_bundles(settings.models):
        read_bundle(folder)  # said here in one sentence, not in every replica's log
    wanted = application(settings, scale)
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, log_to_driver=False)
        else:
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SetupError(f"There is no Ray cluster at {address or 'this machine'}: {error}") from error
    try:
        serve.start(proxy_location="EveryNode", http_options=HTTPOptions(host=host, port=port))
        serve.run(wanted, name=NAME, route_prefix="/")
        if settings.api_keys_file is None and host not in ("127.0.0.1", "::1", "localhost"):
            sys.stderr.write(
                f"EVERYBODY who reaches {host} may use it: no API keys are set (TRIAD_API_KEYS_FILE).\n"
            )
        sys.stdout.write(f"Triad is ready: port {port} of every machine of the cluster.\n")
        sys.stdout.flush()
        if address is None:
            _wait_for_signal()
            serve.shutdown()
    except RuntimeError as error:
        raise SetupError(f"Ray did not start the replicas: {error}") from error
    finally:
        ray.shutdown()


def _wait_for_signal() -> None:
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
