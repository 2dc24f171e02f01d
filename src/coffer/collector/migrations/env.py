"""Run by Alembic; the connection is the one that `coffer.collector.migrate` has opened."""

from alembic import context

from coffer.collector.database import metadata
from coffer.collector.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
