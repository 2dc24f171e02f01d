"""The `coffer` command: the table of its subcommands. Each is imported only when it is run."""

import click

from coffer.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "standalone": Entry("coffer.cli.services:standalone", "Run the whole control plane in one process."),
    "api": Entry("coffer.cli.services:api", "Run the REST API."),
    "taskmanager": Entry(
        "coffer.cli.services:taskmanager", "Run a taskmanager: cloud and guests do the work."
    ),
    "conductor": Entry("coffer.cli.services:conductor", "Run a conductor: the guests' only door."),
    "guestagent": Entry(
        "coffer.cli.services:guestagent", "Run the agent of one instance, beside its server."
    ),
    "relay": Entry("coffer.cli.services:relay", "Run a relay: the outbox goes to the broker."),
    "collector": Entry("coffer.cli.services:collector", "Run the collector: events are stored once."),
    "db": Entry("coffer.cli.db:db", "Look after the database schema."),
    "guests": Entry("coffer.cli.guests:guests", "Look after the keys and accounts of guest agents."),
    "status": Entry("coffer.cli.status:status", "Show whether the control plane is well."),
    "catalogue": Entry("coffer.cli.catalogue:catalogue", "Show every event that coffer can announce."),
    "ceilometer": Entry("coffer.cli.ceilometer:ceilometer", "Look after what Ceilometer understands."),
    "policy": Entry("coffer.cli.policy:policy", "Look after who may do what."),
    "events": Entry("coffer.cli.events:events", "Show what was announced."),
    "usage": Entry("coffer.cli.later:usage", "Bill tenants from the events (not available in this version)."),
    "failures": Entry("coffer.cli.later:failures", "Count failed runs (not available in this version)."),
}


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all is well, 1 it failed or something is wrong, 2 the command line is wrong. "
    "Answers go to stdout, complaints to stderr.",
)
@click.version_option(package_name="coffer")
def coffer() -> None:
    """A database-as-a-service control plane that announces every change it makes."""
