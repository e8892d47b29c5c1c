"""A Python client of a running service: `from triad_serving import TriadClient`. Needs the extra `client`.

    with TriadClient("http://localhost:8000") as client:
        prediction = client.predict(text="seven", image="seven.png", audio=(wave_T, 16000))

`AsyncTriadClient` is the same with `await`. Answers are the service's own types; every error is a TriadError,
of the class that the service raised: `except OverloadedError`. Imports no web framework and no ONNX Runtime.
"""

from triad_serving.client.asynchronous import AsyncTriadClient
from triad_serving.client.blocking import TriadClient
from triad_serving.client.media import AudioSource, ImageSource, Media

__all__ = ["AsyncTriadClient", "AudioSource", "ImageSource", "Media", "TriadClient"]
