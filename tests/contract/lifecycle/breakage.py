"""Makes a real database refuse: an insert, an update, or the commit of whatever touched a table."""

from sqlalchemy import Connection, event  # noqa: TID251  (to come between a transaction and its commit)

from coffer.store.database import Database

_POSTGRESQL_REFUSAL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$
"""


def refuse(database: Database, action: str, table: str) -> None:
    """Let every `action` (INSERT, UPDATE, DELETE) on `table` fail from now on."""
    if database.dialect == "sqlite":
        raising = "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
        _run(database, f"CREATE TRIGGER refusal BEFORE {action} ON {table} {raising}")
        return
    if database.dialect == "mysql":
        raising = "FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused by the test'"
        _run(database, f"CREATE TRIGGER refusal BEFORE {action} ON {table} {raising}")
        return
    _run(
        database,
        _POSTGRESQL_REFUSAL,
        f"CREATE TRIGGER refusal BEFORE {action} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def refuse_commits(database: Database, action: str, table: str) -> None:
    """Let every transaction that did `action` on `table` succeed until it commits, and fail then."""
    if database.dialect == "sqlite":
        _run(
            database,
            "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
            "CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
            f"CREATE TRIGGER refusal AFTER {action} ON {table} BEGIN INSERT INTO child VALUES (1); END",
        )
        return
    if database.dialect == "mysql":
        # It checks everything at once and nothing when it commits; so the connection is cut just before.
        _run(database, f"CREATE TRIGGER refusal AFTER {action} ON {table} FOR EACH ROW SET @refused = 1")
        event.listen(database._engines.writer, "commit", _cut_if_refused)
        return
    _run(
        database,
        _POSTGRESQL_REFUSAL,
        f"CREATE CONSTRAINT TRIGGER refusal AFTER {action} ON {table} "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def mend(database: Database) -> None:
    """Undo either."""
    writer = database._engines.writer
    if event.contains(writer, "commit", _cut_if_refused):
        event.remove(writer, "commit", _cut_if_refused)
    _run(
        database,
        "DROP FUNCTION refuse CASCADE" if database.dialect == "postgresql" else "DROP TRIGGER refusal",
    )


def _cut_if_refused(tx: Connection) -> None:
    if tx.exec_driver_sql("SELECT @refused").scalar():
        tx.exec_driver_sql("KILL CONNECTION_ID()")


def _run(database: Database, *statements: str) -> None:
    with database.writing() as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)
