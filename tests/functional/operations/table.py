"""THE TABLE: a row an operation. No operation on an instance can be added to the catalogue without one."""

from tests.functional.operations import backups, configurations, databases, instances, replication, users

ROWS = {
    row.operation: row
    for noun in (instances, replication, backups, databases, users, configurations)
    for row in noun.ROWS
}
