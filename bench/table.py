"""The table for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.figures import Check, Row


def show(console: Console, rows: list[Row], checks: list[Check], notes: list[str]) -> None:
    """Prints every row, then what was checked, then what must be known beside the figures."""
    table = Table(
        title="Pairscope beside its peers: medians of rounds; the ratio is ours / peer's, median of the ratios "
        "within a round"
    )
    for name, justify in (
        ("what", "left"),
        ("ours", "right"),
        ("peer", "left"),
        ("peer's", "right"),
        ("ratio", "right"),
        ("target", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    before = ""
    for row in rows:
        if row.benchmark != before:
            table.add_section()
            table.add_row(f"[bold]{row.benchmark}")
            before = row.benchmark
        peers = _figure(row.peer, row.unit) if row.peer is not None else "left out" if row.left_out else ""
        table.add_row(row.what, _figure(row.ours, row.unit), row.peer_name, peers, _ratio(row), _target(row), _met(row))
    console.print(table)
    for check in checks:
        console.print(f"{'[green]holds' if check.holds else '[red]DOES NOT HOLD'}[/] {check.benchmark}: {check.what}")
    for reason in dict.fromkeys(
        f"{row.benchmark}: {row.peer_name or row.what} was left out: {row.left_out}" for row in rows if row.left_out
    ):
        console.print(f"[yellow]{reason}")
    for note in notes:
        console.print(f"[dim]{note}")


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f}"


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    value = f"{row.target:,.6g} {row.unit}" if row.absolute else f"{row.target:g}"
    return f"{'at most' if row.better == 'lower' else 'at least'} {value}"


def _met(row: Row) -> str:
    if row.met is None:
        return ""
    return "[green]met" if row.met else "[red]not met"
