"""PostgreSQL as a datastore."""

from typing import Final

from coffer.datastores.datastore import datastore
from coffer.datastores.postgresql.offering import parameters_of
from coffer.datastores.postgresql.rules import RULES
from coffer.datastores.postgresql.settings import server_settings

DATASTORE: Final = datastore(
    "postgresql",
    versions=("18", "17", "16", "15", "14"),
    default="17",
    rules=RULES,
    driver="coffer.datastores.postgresql.driver:PostgresqlDriver",
    finder="coffer.datastores.postgresql.locator:installed_versions",
    parameters=parameters_of,
    defaults=server_settings,
)
