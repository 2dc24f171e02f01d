"""`coffer catalogue`: what is notified, as a table and in the formats of consumers."""

import click

from coffer.cli.output import Column, Fit, print_table, width
from coffer.derive import table
from coffer.derive.formats import FORMATS

TABLE = "table"
WIDE = 160
"""Columns of a terminal from which on the table shows everything; a narrower one would only hold slivers."""


@click.command(short_help="Show every event that coffer can announce.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default=TABLE,
    show_default=True,
    help="A table for people, or the form that a consumer reads.",
)
def catalogue(format_: str) -> None:
    """Show every event that coffer can announce, with its severity and its facts.

    ceilometer and meters are definition files for Ceilometer, gnocchi resource types for Gnocchi, cloudkitty
    metrics for CloudKitty, aodh examples of alarms; jsonschema and asyncapi describe the messages to programs,
    markdown to people.

    Exit code: 0.
    """
    if format_ == TABLE:
        _print_table()
    else:
        click.echo(FORMATS[format_](), nl=False)


def _print_table() -> None:
    rows = table.rows()
    first, second, *others = (heading.upper() for heading in table.HEADINGS)
    columns = [Column(first), Column(second), *(Column(heading, Fit.FOLDED) for heading in others)]
    if width() < WIDE:
        rows = [(event_type, severity, traits) for event_type, severity, traits, *_ in rows]
        columns = columns[:3]
    print_table(columns, rows)
    click.echo(f"{len(rows)} events")
