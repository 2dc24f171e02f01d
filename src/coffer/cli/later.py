"""Commands whose names are taken and whose work is not built: they say so and fail."""

import click

_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command(context_settings=_ANYTHING, short_help="Bill tenants from the events (not available).")
@click.pass_context
def usage(ctx: click.Context) -> None:
    """Bill tenants from the events: not available in this version. Exit code: 2."""
    _refuse(ctx)


@click.command(context_settings=_ANYTHING, short_help="Count failed runs (not available).")
@click.pass_context
def failures(ctx: click.Context) -> None:
    """Count failed runs: not available in this version. Exit code: 2."""
    _refuse(ctx)


def _refuse(ctx: click.Context) -> None:
    click.echo(f"Error: coffer {ctx.info_name} is not available in this version.", err=True)
    ctx.exit(2)
