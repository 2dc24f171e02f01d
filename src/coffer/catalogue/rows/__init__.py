"""The rows of the operations table, one file a noun."""
