"""How an explanation is shown: as JSON, a picture or a page, and in which language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from starlette.requests import Request
from starlette.responses import Response

from triad_serving.contract.errors import NotAcceptableError
from triad_serving.contract.language import Language
from triad_serving.drawing.compose import compose
from triad_serving.drawing.html.page import to_html
from triad_serving.drawing.html.style import content_security_policy
from triad_serving.drawing.png.page import drawable, to_png
from triad_serving.http.negotiation import preferred_language, preferred_type
from triad_serving.inference.answer import Prediction
from triad_serving.media.example import PreprocessSpec, RawInputs
from triad_serving.media.limits import MediaLimits

MediaType = Literal["application/json", "image/png", "text/html"]
MEDIA_TYPES: tuple[MediaType, ...] = get_args(MediaType)
LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True, kw_only=True)
class View:
    media_type: MediaType
    language: Language

    @classmethod
    def wanted(cls, request: Request, language: Language | None) -> View:
        """language: where the query names one. Raises NotAcceptableError."""
        accept = request.headers.get("accept")
        media_type = preferred_type(accept, MEDIA_TYPES)
        if media_type is None:
            raise NotAcceptableError(
                f"Accept names none of {', '.join(MEDIA_TYPES)}.", field="Accept", value=accept
            )
        chosen = language or preferred_language(request.headers.get("accept-language"), LANGUAGES)
        return cls(media_type=media_type, language=chosen)

    @property
    def drawn(self) -> bool:
        return self.media_type != "application/json"

    def draw(
        self, prediction: Prediction, raw: RawInputs, spec: PreprocessSpec, limits: MediaLimits
    ) -> Response:
        """raw: what was predicted from. spec: the model's. Up to half a second of work."""
        language = drawable(self.language) if self.media_type == "image/png" else self.language
        scene = compose(prediction, raw, spec, limits, language)
        headers = {"Content-Language": language, "X-Content-Type-Options": "nosniff"}
        if self.media_type == "image/png":
            return Response(to_png(scene, asked=self.language), media_type=self.media_type, headers=headers)
        headers["Content-Security-Policy"] = f"{content_security_policy()}; frame-ancestors 'none'"
        return Response(to_html(scene), media_type=self.media_type, headers=headers)


AS_JSON = View(media_type="application/json", language="en")
