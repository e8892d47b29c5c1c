from __future__ import annotations

from benchmarks.media import make_large_photo
from benchmarks.serving.photos import Round, cheapest_decode_ms, markdown
from triad_serving.media.image.spec import ImageSpec


def made(beside_p99_ms: float) -> Round:
    return Round(
        alone_p50_ms=5.0,
        alone_p99_ms=10.0,
        beside_p50_ms=6.0,
        beside_p99_ms=beside_p99_ms,
        photo_cpu_ms=30.0,
        errors=1,
    )


def test_medians_over_the_rounds_are_told_as_ratios() -> None:
    page = markdown([made(15.0), made(90.0), made(14.0)], 20.0)
    assert "| alone | 5.0 | 10.0 |" in page
    assert "| beside | 6.0 | 15.0 |" in page
    assert "is 1.50 times that alone" in page
    assert "1.50 times its cheapest decode alone (20.0 ms)" in page
    assert page.endswith("Errors: 3.")


def test_the_cheapest_decode_costs_something() -> None:
    image = make_large_photo(0).image
    assert image is not None
    assert cheapest_decode_ms(image, ImageSpec(height=56, width=56)) > 0
