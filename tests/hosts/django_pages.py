"""A Django site of a few views: its URL configuration, and its settings, which are the process's."""

import django
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from useid_middleware import Identity, login, logout


def who(request: HttpRequest) -> HttpResponse:
    """A view of the older kind, which runs in a thread."""
    user, auth = request.user, request.auth
    told = {
        "name": user.get_username(),
        "id": user.pk or "",
        "scopes": list(auth.scopes),
        "root": request.META["SCRIPT_NAME"],
        "isAuthenticated": user.is_authenticated,
    }
    return JsonResponse(told)


async def enter(request: HttpRequest, name: str) -> HttpResponse:
    """A login of the site's own."""
    await login(request, Identity("host", name, username=name))
    return HttpResponse("")


async def leave(request: HttpRequest) -> HttpResponse:
    """The logout that belongs to it."""
    await logout(request)
    return HttpResponse("")


@login_required(login_url="/auth/login", redirect_field_name="return")  # type: ignore[untyped-decorator]
async def guarded(request: HttpRequest) -> HttpResponse:
    """A page that Django's own decorator keeps."""
    user = await request.auser()
    return HttpResponse(user.get_username())


urlpatterns = [
    path("who", who),
    path("as/<name>", enter),
    path("out", leave),
    path("guarded", guarded),
]


def set_up() -> None:
    """What manage.py and a settings module do. Once a process."""
    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="for tests alone",
        MIDDLEWARE=["useid_middleware.integrations.django.UserMiddleware"],
    )
    django.setup()
