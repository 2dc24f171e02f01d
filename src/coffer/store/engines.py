"""What a kind of database gives to `Database`."""

from dataclasses import dataclass

from sqlalchemy import Engine

from coffer.store.turns import Turns


@dataclass(frozen=True, slots=True)
class Engines:
    """One engine to write with, one to read with; `turns` where the database has a single writer."""

    writer: Engine
    reader: Engine
    turns: Turns | None = None
    turn_timeout_s: float = 0.0
