"""Keeps the books of a confirmed channel: which message awaits the broker's word, and what that word was."""


class Confirms:
    """The delivery tags of one channel, and the ids behind them.

    A message may go out under several routing keys; it counts as confirmed when all of them are.
    """

    def __init__(self) -> None:
        self.published = 0
        self.answered = 0
        self.refused: set[int] = set()
        self._ids: dict[int, int] = {}
        self._pending: dict[int, int] = {}
        self._confirmed: set[int] = set()

    @property
    def outstanding(self) -> int:
        """How many messages the broker has not answered for."""
        return len(self._ids)

    def is_answered(self, tag: int) -> bool:
        """Whether the broker has answered for every message up to `tag`, in whatever order it did."""
        # Tags stand in the order of publishing: the first is the oldest that is still open.
        return next(iter(self._ids), tag + 1) > tag

    def take(self, ids: frozenset[int]) -> tuple[frozenset[int], frozenset[int]]:
        """Return which of `ids` were confirmed and which refused, and forget both."""
        confirmed, refused = frozenset(ids & self._confirmed), frozenset(ids & self.refused)
        self._confirmed -= ids
        self.refused -= ids
        return confirmed, refused

    def restart(self) -> None:
        """Forget everything: a new channel counts from 1."""
        self.published = 0
        self._ids.clear()
        self._pending.clear()

    def begin(self, confirmed: set[int]) -> None:
        """Collect the ids that are confirmed from now on into `confirmed`."""
        self._confirmed = confirmed
        self.refused = set()

    def expect(self, message_id: int) -> None:
        """The next message of the channel is being published; the broker will answer for it."""
        self.published += 1
        self._ids[self.published] = message_id
        self._pending[message_id] = self._pending.get(message_id, 0) + 1

    def on_return(self, correlation_id: str) -> None:
        """The broker gives a message back: no queue wants it. An ack for it follows all the same."""
        if correlation_id.isdecimal():
            self.refused.add(int(correlation_id))

    def on_ack(self, tag: int, multiple: bool) -> None:
        """The broker answers for a message, or for all up to it."""
        for message_id in self._take(tag, multiple=multiple):
            left = self._pending[message_id] - 1
            if left:
                self._pending[message_id] = left
                continue
            del self._pending[message_id]
            if message_id not in self.refused:
                self._confirmed.add(message_id)

    def on_nack(self, tag: int, multiple: bool) -> None:
        """The broker could not take a message, or none up to it."""
        for message_id in self._take(tag, multiple=multiple):
            self.refused.add(message_id)
            self._pending[message_id] -= 1
            if not self._pending[message_id]:
                del self._pending[message_id]

    def _take(self, tag: int, *, multiple: bool) -> list[int]:
        """Return the ids behind the tags, in order; a tag that was answered before gives none."""
        if not multiple:
            tags = [tag] if tag in self._ids else []
        else:
            # Tag 0 means all; tags are in the order of insertion, so the loop ends at the first later one.
            tags = []
            for known in self._ids:
                if tag and known > tag:
                    break
                tags.append(known)
        self.answered += len(tags)
        return [self._ids.pop(each) for each in tags]
