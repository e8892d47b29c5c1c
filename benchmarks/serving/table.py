"""Results as Markdown, for a README."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.serving.results import Measured, Results

REFERENCE = 32  # the concurrency at which servers are ranked and their cost is told


def markdown(results: Results) -> str:
    """Two tables, throughput and cost, then latency; and what is missing, with the reason."""
    concurrencies = sorted({c for by in results.servers.values() for c in by})
    reference = REFERENCE if REFERENCE in concurrencies else max(concurrencies, default=0)
    servers = sorted(results.servers, key=lambda name: -_rps(results, name, reference))
    settings = ", ".join(f"{name} {value:g}" for name, value in results.settings.items())
    parts = [
        f"`{results.bundle}` on {results.machine.sentence()} Medians ({settings}).",
        _throughput(results, servers, concurrencies, reference),
        _latency(results, servers, concurrencies),
    ]
    if results.failed:
        parts.append("\n".join(f"- {name}: {_line(reason)}" for name, reason in results.failed.items()))
    return "\n\n".join(parts) + "\n"


def _throughput(
    results: Results, servers: Sequence[str], concurrencies: Sequence[int], reference: int
) -> str:
    limit = results.limit
    head = [
        "requests/s at concurrency",
        *map(str, concurrencies),
        "of the limit",
        "CPU ms",
        "text alone: CPU ms",
    ]
    at_reference = (f"{limit.rps:.0f}" if c == reference else "" for c in concurrencies)
    bare = [f"bare loop, {limit.topology.name}", *at_reference, "1.00", f"{limit.cpu_ms:.2f}", *[""] * 4]
    rows = [bare]
    for name in servers:
        by = results.servers[name]
        at = by.get(reference)
        texts = [measured.cpu_ms for measured in results.text_only.get(name, {}).values()]
        rows.append(
            [
                name,
                *(f"{by[c].rps:.0f}" if c in by else "" for c in concurrencies),
                f"{at.rps / limit.rps:.2f}" if at else "",
                f"{at.cpu_ms:.2f}" if at else "",
                f"{texts[-1]:.2f}" if texts else "",
                f"{at.memory_mb:.0f}" if at else "",
                f"{results.start_s[name]:.1f}",
                _errors(list(by.values())),
            ]
        )
    return _table([*head, "memory MB", "start s", "errors + 503"], rows)


def _latency(results: Results, servers: Sequence[str], concurrencies: Sequence[int]) -> str:
    single = results.single
    head = ["p50 / p99 ms at concurrency", *map(str, concurrencies)]
    rows = [[f"bare loop, {single.topology.name}", f"{single.p50_ms:.1f} / {single.p99_ms:.1f}"]]
    rows[0] += [""] * (len(head) - len(rows[0]))
    for name in servers:
        by = results.servers[name]
        cells = (f"{by[c].p50_ms:.1f} / {by[c].p99_ms:.1f}" if c in by else "" for c in concurrencies)
        rows.append([name, *cells])
    return _table(head, rows)


def _rps(results: Results, name: str, concurrency: int) -> float:
    measured = results.servers[name].get(concurrency)
    return measured.rps if measured else 0.0


def _errors(measured: Sequence[Measured]) -> str:
    return f"{sum(each.errors for each in measured)} + {sum(each.refused for each in measured)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _line(reason: str) -> str:
    """The last line of a log, at most 300 characters."""
    return reason.strip().splitlines()[-1].strip()[-300:] if reason.strip() else "no reason given"
