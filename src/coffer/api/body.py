"""Takes a request's body off the wire: bounded, however it is framed."""

import falcon

from coffer.catalogue.errors import BadRequest, PayloadTooLarge


def body_of(req: falcon.Request, *, limit: int) -> bytes:
    """Return the whole body.

    A body must say that it is JSON: a page in a browser may send other types to any site unasked.

    Raises:
        PayloadTooLarge: if it has more than `limit` bytes, or says so.
        BadRequest: if it ends before its Content-Length.
        falcon.HTTPUnsupportedMediaType: if it is not declared as JSON.
        falcon.HTTPInvalidHeader: if Content-Length is no length.
    """
    raw = _read(req, limit)
    if raw.strip() and not _is_json(req.content_type):
        raise falcon.HTTPUnsupportedMediaType
    return raw


def _read(req: falcon.Request, limit: int) -> bytes:
    declared = req.content_length
    if declared is not None and declared > limit:
        raise PayloadTooLarge(limit=limit)
    if declared is None:
        # Chunked: only a server that marks the end of the input itself can be read without a length.
        if not req.env.get("wsgi.input_terminated"):
            return b""
        raw = _up_to(req, limit + 1)
        if len(raw) > limit:
            raise PayloadTooLarge(limit=limit)
        return raw
    raw = _up_to(req, declared)
    if len(raw) < declared:
        raise BadRequest(reason="The body is shorter than its Content-Length.")
    return raw


def _up_to(req: falcon.Request, size: int) -> bytes:
    """Read `size` bytes, or all there are; a stream may give fewer at once than it has."""
    parts: list[bytes] = []
    while size > 0:
        part: bytes = req.env["wsgi.input"].read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _is_json(content_type: str | None) -> bool:
    media_type = (content_type or "").split(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
