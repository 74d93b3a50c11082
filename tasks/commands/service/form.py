"""Reads the form of a request, and tells one that has come whole from one that is cut off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from tasks.report.words import counted


class _EndingParser(MultiPartParser):
    """Starlette's parser, which leaves an unfinished part out without a word, with what it says at the end."""

    has_ended = False
    """Whether the boundary that ends the form was read."""

    def on_end(self) -> None:
        """Note the end."""
        self.has_ended = True


@asynccontextmanager
async def whole_form(request: Request, *, max_files: int, max_fields: int) -> AsyncIterator[FormData]:
    """Read the multipart form of a request; its files are closed when this is left.

    Args:
        request: Its content type is multipart/form-data.
        max_files: Most parts that are files.
        max_fields: Most other parts.

    Raises:
        HTTPException: 400, the form is damaged, too long or cut off.
        ClientDisconnect: The connection has ended before the request.
    """
    parser = _EndingParser(request.headers, request.stream(), max_files=max_files, max_fields=max_fields)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        sentence = (
            f"the form cannot be read ({error.message.rstrip('.')}); send it as multipart/form-data, as curl -F does"
        )
        raise HTTPException(400, sentence) from error
    try:
        if not parser.has_ended:
            whole = counted(len(form.multi_items()), "whole part")
            raise HTTPException(
                400, f"the request is cut off: it ends within a part, after {whole}; send all of it again"
            )
        yield form
    finally:
        await form.close()
