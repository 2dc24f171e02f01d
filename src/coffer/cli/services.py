"""`coffer standalone`, `coffer api` and so on: read the command line, hand over to the composition root."""

from pathlib import Path

import click

from coffer.cli.state_dir import state_dir_option

_EXIT = "Exit codes: 0 stopped by a signal, 1 it could not start or failed, 2 the command line is wrong."

_config_files = click.option(
    "--config-file",
    "config_files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A configuration file; may be given several times, later ones win.",
)


@click.command(short_help="Run the whole control plane in one process.", epilog=_EXIT)
@state_dir_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8779,
    show_default=True,
    help="The port of the REST API; 0 takes any free one and prints it.",
)
@_config_files
def standalone(state_dir: Path, host: str, port: int, config_files: tuple[Path, ...]) -> None:
    """Run the whole control plane in one process, until Ctrl-C or SIGTERM.

    A second start on the same directory continues where the first stopped. The database servers of tenants
    live on when the control plane stops.
    """
    from coffer.main import standalone as root

    root.run(state_dir, host, port, config_files)


def _service(kind: str, sentence: str) -> click.Command:
    @click.command(
        kind, help=f"{sentence}\n\nRuns until Ctrl-C or SIGTERM.", short_help=sentence, epilog=_EXIT
    )
    @_config_files
    def command(config_files: tuple[Path, ...]) -> None:
        from coffer.main import services as root

        root.run(kind, config_files)

    return command


api = _service("api", "Run the REST API.")
taskmanager = _service("taskmanager", "Run a taskmanager: cloud and guests do the work.")
conductor = _service("conductor", "Run a conductor: the guests' only door.")
relay = _service("relay", "Run a relay: the outbox goes to the broker.")
collector = _service("collector", "Run the collector: events are stored once.")


@click.command(short_help="Run the agent of one instance, beside its server.", epilog=_EXIT)
@click.option(
    "--guest-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The directory of the instance, with its guest.json.",
)
@_config_files
def guestagent(guest_dir: Path, config_files: tuple[Path, ...]) -> None:
    """Run the agent of one instance, beside its database server.

    The server lives on when the agent stops.
    """
    from coffer.main import guest_process

    guest_process.run(config_files, guest_dir)
