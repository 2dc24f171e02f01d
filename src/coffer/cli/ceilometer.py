"""`coffer ceilometer`: what an operator's Ceilometer makes of our messages, and of upstream Trove's."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from coffer.cli.output import Column, Fit, print_json, print_table, printable
from coffer.derive.ceilometer_check import Flaw, Verdict, judge
from coffer.derive.ceilometer_reader import DefinitionsError, definitions
from coffer.derive.messages import from_coffer, from_trove
from coffer.derive.meters_check import MeterVerdict, judge_meters

SENDERS = {"coffer": from_coffer, "trove": from_trove}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Report:
    """What the check found: by sender the events, and the meters."""

    verdicts: dict[str, list[Verdict]]
    meters: tuple[MeterVerdict, ...]
    unloadable: str | None = None
    """Why Ceilometer would not load a file; there is nothing else to say then."""

    @property
    def is_well(self) -> bool:
        """Whether everything of every sender is understood."""
        flawless = all(not verdict.flaws for each in self.verdicts.values() for verdict in each)
        return flawless and not self.unloadable and not any(meter.problems for meter in self.meters)


@click.group(short_help="Look after what Ceilometer understands.")
def ceilometer() -> None:
    """Look after what a Ceilometer understands of the notifications; docs/ceilometer.md tells how to set it up."""


@ceilometer.command()
@click.option(
    "--definitions",
    "definitions_file",
    type=_FILE,
    required=True,
    help="The file that [event] definitions_cfg_file of Ceilometer names.",
)
@click.option(
    "--meters",
    "meters_files",
    type=_FILE,
    multiple=True,
    help="A file of a directory that [meter] meter_definitions_dirs names; several in Ceilometer's order.",
)
@click.option(
    "--from",
    "sender",
    type=click.Choice([*SENDERS, "both"]),
    default="coffer",
    show_default=True,
    help="Whose notifications: ours, upstream Trove's (release 26), or both.",
)
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def check(
    ctx: click.Context, definitions_file: Path, meters_files: Sequence[Path], sender: str, format_: str
) -> None:
    """Tell which notifications a Ceilometer with these files would lose, or hold with traits missing or mistyped.

    The files are read as Ceilometer reads them. What is announced beyond the specification may be missing:
    the JSON names it, and it is no fault.

    Exit codes: 0 everything is understood, 1 something is not, 2 the command line is wrong.
    """
    report = _checked(definitions_file, meters_files, list(SENDERS) if sender == "both" else [sender])
    if format_ == "json":
        print_json(_as_json(report))
    else:
        _print(report)
    ctx.exit(0 if report.is_well else 1)


def _checked(definitions_file: Path, meters_files: Sequence[Path], senders: Sequence[str]) -> Report:
    messages = {sender: SENDERS[sender]() for sender in senders}
    file = definitions_file
    try:
        found = definitions(file.read_text())
        verdicts = {sender: [judge(found, each) for each in messages[sender]] for sender in senders}
        every = [message for each in messages.values() for message in each]
        for file in meters_files:  # each on its own first, so that a complaint names its file
            judge_meters([file.read_text()], every)
        meters = judge_meters([each.read_text() for each in meters_files], every)
    except (DefinitionsError, UnicodeDecodeError) as error:
        return Report({}, (), f"Ceilometer would not load {file}. {error}")
    return Report(verdicts, meters)


def _as_json(report: Report) -> dict[str, object]:
    return {
        "is_well": report.is_well,
        "unloadable": report.unloadable,
        "senders": {
            sender: {
                "documented": sum(each.documented for each in verdicts),
                "understood": sum(each.understood for each in verdicts),
                "events": [{**asdict(each), "is_lost": each.is_lost} for each in verdicts],
            }
            for sender, verdicts in report.verdicts.items()
        },
        "meters": [asdict(meter) for meter in report.meters],
    }


def _print(report: Report) -> None:
    if report.unloadable:
        click.echo(printable(report.unloadable), err=True)
        return
    for sender, verdicts in report.verdicts.items():
        flawed = [each for each in verdicts if each.flaws]
        if flawed:
            print_table(
                [Column("EVENT"), Column("DEFINITION"), Column("UNDERSTOOD"), Column("WRONG", Fit.FOLDED)],
                [_row(each) for each in flawed],
            )
        hints = dict.fromkeys(each.hint for each in flawed if each.hint)
        for hint in hints:
            click.echo(printable(hint))
        understood, documented = (
            sum(each.understood for each in verdicts),
            sum(each.documented for each in verdicts),
        )
        whole = len(verdicts) - len(flawed)
        click.echo(
            f"{sender}: {whole} of {len(verdicts)} events are understood, {understood} of {documented} traits."
        )
    for meter in report.meters:
        told = "; ".join(meter.problems) or f"{len(meter.event_types)} events make samples"
        click.echo(printable(f"meter {meter.name} ({meter.type}): {told}"))


def _row(verdict: Verdict) -> tuple[str, str, str, str]:
    return (
        verdict.event_type,
        verdict.definition or "none",
        f"{verdict.understood}/{verdict.documented}",
        "the whole event is lost: " * verdict.is_lost + _told(verdict.flaws),
    )


def _told(flaws: Sequence[Flaw]) -> str:
    by_problem: dict[str, list[str]] = {}
    for flaw in flaws:
        is_plain = flaw.detail == "no rule for it"
        by_problem.setdefault(flaw.problem, []).append(
            flaw.trait if is_plain else f"{flaw.trait} ({flaw.detail})"
        )
    return "; ".join(f"{problem}: {', '.join(names)}" for problem, names in by_problem.items())
