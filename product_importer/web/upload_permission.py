"""Who may send a file: asked before the file is received, on the request's headers alone."""

import io
from collections.abc import MutableMapping
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseError
from django.db import connections
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from product_importer.accounts.tokens import TokenAuthentication
from product_importer.web.body_limit import SenderUnknown
from product_importer.web.database import is_away


async def may_upload(scope: MutableMapping[str, Any]) -> bool:
    """Whether the request comes from somebody who may import, by session or by token.

    The view asks again; this is to keep strangers from filling the disk. Raises ``SenderUnknown``
    while the database is away.
    """
    return await sync_to_async(_may_upload, thread_sensitive=False)(scope)


def _may_upload(scope: MutableMapping[str, Any]) -> bool:
    request = ASGIRequest(scope, io.BytesIO())
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    try:
        user: Any = get_user(request)
        if not user.is_authenticated:
            found = TokenAuthentication().authenticate(Request(request))
            user = found[0] if found else user
        return bool(user.has_perm("imports.add_importjob"))
    except APIException:
        return False  # a token that is wrong, has expired, or may only read
    except DatabaseError as error:
        if is_away(error):
            raise SenderUnknown from error
        raise
    finally:
        connections.close_all()  # this is no thread of a request
