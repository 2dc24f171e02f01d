"""Failures are rows of data: stable codes, statuses that the client knows, templates that fit."""

import string

import pytest

from coffer.catalogue.errors import ERRORS, CofferError, DatabaseExists, Fault

# The classes that python-troveclient has an exception for.
KNOWN_STATUSES = {400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 500, 501, 502, 503, 504}

errors = pytest.mark.parametrize("error", ERRORS.values(), ids=lambda error: error.code)


@errors
def test_the_client_has_an_exception_for_the_status(error: type[CofferError]) -> None:
    assert error.status in KNOWN_STATUSES


@errors
def test_a_tenant_is_never_blamed_for_our_failure(error: type[CofferError]) -> None:
    ours = error.status >= 500 and error.code != "not_implemented"

    assert (error.fault is Fault.SYSTEM) == ours


@errors
def test_the_template_takes_what_it_names(error: type[CofferError]) -> None:
    fields = {name for _, name, _, _ in string.Formatter().parse(error.template) if name}

    message = error(**dict.fromkeys(fields, "something")).message

    assert "{" not in message
    assert message


def test_an_error_refuses_data_that_its_template_does_not_name() -> None:
    with pytest.raises(TypeError, match="takes"):
        DatabaseExists(name="shop", password="x")


def test_every_code_is_one_class() -> None:
    assert all(ERRORS[code].code == code for code in ERRORS)
    assert "internal_error" in ERRORS
