"""Django: ``request.user`` and ``request.auth``, by a middleware of Django's own kind.

``MIDDLEWARE = [..., "useid_middleware.integrations.django.UserMiddleware"]``, behind Django's AuthenticationMiddleware
or in its place; the plugin stands around ``get_asgi_application()``.
"""

from collections.abc import Callable, Collection
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from ..errors import ConfigurationError
from ..sessions.auth import Credentials
from ..sessions.records import Session
from .demands import credentials_of


class DjangoUser:
    """Who is logged in, or nobody, in the words of Django's users; no database is asked.

    Staff, superusers and permissions are Django's own: whoever has them is a user of a model (see
    :meth:`UserMiddleware.find_user`).
    """

    is_staff = False
    is_superuser = False

    def __init__(self, session: Session | None) -> None:
        self._session = session

    def __str__(self) -> str:
        return self.username

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is."""
        return self._session is not None

    @property
    def is_anonymous(self) -> bool:
        """The opposite."""
        return self._session is None

    @property
    def is_active(self) -> bool:
        """As Django has it: of nobody false."""
        return self._session is not None

    @property
    def pk(self) -> str | None:
        """The account's id."""
        return self._session.account_id if self._session else None

    @property
    def id(self) -> str | None:
        """The same."""
        return self.pk

    @property
    def username(self) -> str:
        """The account's name for people; empty for nobody."""
        return self._session.username if self._session else ""

    def get_username(self) -> str:
        """The same."""
        return self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """No."""
        return False

    def has_perms(self, perms: Collection[str], obj: object = None) -> bool:
        """Whether nothing is asked."""
        return not perms

    def has_module_perms(self, app_label: str) -> bool:
        """No."""
        return False


class UserMiddleware:
    """Fills ``request.user``, ``request.auser`` for coroutines, and ``request.auth``, each when first asked for."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Django's."""
        scope = getattr(request, "scope", None)
        if scope is None:
            raise ConfigurationError("request.user: expected an ASGI server and get_asgi_application(), not WSGI")
        credentials_of(scope)  # Whether the plugin is there is said at once, not where a view first looks.
        found: list[Any] = []

        def find() -> Any:
            if not found:
                found.append(self.find_user(credentials_of(scope)))
            return found[0]

        async def find_by_coroutine() -> Any:
            return found[0] if found else await sync_to_async(find)()

        request.user = SimpleLazyObject(find)
        request.auser = find_by_coroutine
        request.auth = SimpleLazyObject(lambda: credentials_of(scope))
        return self.get_response(request)

    def find_user(self, credentials: Credentials) -> Any:
        """The user of a request. Subclasses look for one of their own model, by ``credentials.session.account_id``."""
        return DjangoUser(credentials.session)
