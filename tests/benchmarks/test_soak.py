from __future__ import annotations

from benchmarks.serving.soak import Sample, growth_mb, markdown


def samples(*memory_mb: float) -> list[Sample]:
    return [
        Sample(requests=100 * n, memory_mb=mb, files=9, threads=5, errors=0, refused=n)
        for n, mb in enumerate(memory_mb)
    ]


def test_growth_leaves_the_first_quarter_out() -> None:
    assert growth_mb(samples(100, 150, 200, 200, 201, 202, 203, 203)) == 3.0


def test_a_flat_run_grows_by_nothing_and_a_single_look_neither() -> None:
    assert growth_mb(samples(*[200.0] * 40)) == 0.0
    assert growth_mb(samples(200.0)) == 0.0


def test_long_runs_are_told_in_few_rows_with_the_first_and_the_last() -> None:
    rows = markdown(samples(*[float(n) for n in range(1000)])).splitlines()[2:-2]
    assert len(rows) <= 11
    assert rows[0].startswith("| 0 | 0.0 |")
    assert rows[-1] == "| 99900 | 999.0 | 9 | 5 | 0 | 999 |"
