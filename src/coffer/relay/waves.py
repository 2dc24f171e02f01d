"""The order of publishing, as a pure function: which messages of a batch may be under way at the same time.

It knows neither the database nor the broker.
"""

from collections import Counter
from collections.abc import Sequence

from coffer.store.outbox import Pending


def waves(rows: Sequence[Pending]) -> list[list[Pending]]:
    """Split `rows`, which are in the outbox's order, into groups that are published one after the other.

    The k-th message of each run stands in the k-th wave. So when a wave is sent only after the wave before it
    was confirmed, the ending of a run is never under way before its start is safe in the broker, and yet a
    batch of a thousand runs needs two round trips and not two thousand. A message without a run follows
    nobody: first wave.
    """
    seen: Counter[str] = Counter()
    result: list[list[Pending]] = []
    for row in rows:
        place = 0
        if row.run_id is not None:
            place = seen[row.run_id]
            seen[row.run_id] += 1
        if place == len(result):
            result.append([])
        result[place].append(row)
    return result
