"""Runs the migrations on the connection of `coffer.store.migrate`; it does not configure logging."""

from alembic import context

from coffer.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
