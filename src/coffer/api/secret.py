"""A text that must not be seen: it masks itself wherever it is printed."""


class Secret:
    """Holds a password between the body that brought it and the cast that takes it to the server.

    Its repr, its str and so every f-string, log line and repr of a struct around it show asterisks.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep `text`."""
        self._text = text

    def reveal(self) -> str:
        """Return the text itself; only for what carries it to the database server or the tenant."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)
