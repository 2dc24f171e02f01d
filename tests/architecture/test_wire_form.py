"""Nobody changes what consumers read by accident."""

from collections.abc import Iterator

from tests.samples.wire_form import Form, committed, declared

BREAKS = """
{changes}

These changes break whoever reads the events. Take them back: announce a new fact under a new name beside the old one,
and keep the old one. Only if the old one was never announced (its operation is not built, or was not when the last
version was released): python -m tests.samples.wire_form --write, and commit the difference with the change."""

ADDS = """
{changes}

Additions are allowed, if they are on purpose: python -m tests.samples.wire_form --write, commit the difference with the
change, run `make docs`, and tell of it in CHANGELOG.md."""


def breaking(before: Form, now: Form) -> Iterator[str]:
    """Say what a reader of the committed form would miss."""
    for name, (severity, fields) in before.items():
        if name not in now:
            yield f"{name} is gone"
            continue
        new_severity, new_fields = now[name]
        if new_severity != severity:
            yield f"{name} goes to the queue {new_severity}, not {severity}"
        for field, kind in fields.items():
            if field not in new_fields:
                yield f"{name} lacks {field}"
            elif new_fields[field].rstrip("!") != kind.rstrip("!"):
                yield f"{name} has {field} as {new_fields[field]}, not {kind}"
            elif kind.endswith("!") and not new_fields[field].endswith("!"):
                yield f"{name} no longer has {field} always"


def adding(before: Form, now: Form) -> Iterator[str]:
    """Say what the committed form does not know."""
    for name, (_, fields) in now.items():
        known = before.get(name, ("", {}))[1]
        if name not in before:
            yield f"{name} is new"
        yield from (f"{name} has {field} as {kind}" for field, kind in fields.items() if field not in known)
        yield from (
            f"{name} has {field} always"
            for field, kind in fields.items()
            if kind.endswith("!") and field in known and not known[field].endswith("!")
        )


def test_no_event_loses_or_changes_what_it_says() -> None:
    changes = list(breaking(committed(), declared()))

    assert not changes, BREAKS.format(changes="\n".join(changes))


def test_no_event_says_more_without_anybody_noticing() -> None:
    changes = list(adding(committed(), declared()))

    assert not changes, ADDS.format(changes="\n".join(changes))


def test_the_form_knows_all_93_events() -> None:
    assert len(committed()) == 93


# --- the comparison itself ------------------------------------------------------------------------

FORM: Form = {"a.start": ("info", {"x": "text!", "y": "int"})}


def test_what_breaks_a_reader_is_told_from_what_does_not() -> None:
    gone: Form = {}
    louder: Form = {"a.start": ("error", {"x": "text!", "y": "int"})}
    poorer: Form = {"a.start": ("info", {"x": "text!"})}
    retyped: Form = {"a.start": ("info", {"x": "int!", "y": "int"})}
    laxer: Form = {"a.start": ("info", {"x": "text", "y": "int"})}
    for changed in (gone, louder, poorer, retyped, laxer):
        assert len(list(breaking(FORM, changed))) == 1
        assert not list(adding(FORM, changed))

    richer: Form = {"a.start": ("info", {"x": "text!", "y": "int!", "z": "text"}), "b": ("info", {})}
    assert not list(breaking(FORM, richer))
    assert len(list(adding(FORM, richer))) == 3
