"""Every page wants a person with a role; what a role doesn't allow is said in plain words."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers

from apps.access.exceptions import NotAllowed
from apps.console.pages import is_htmx, refused, role_in

OTHER_DOORS = ("/api/",)  # it has locks of its own: tokens


class SignInRequired(LoginRequiredMiddleware):
    """Also keeps what it lets through out of caches: after signing out, "back" shows nothing."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if request.path.startswith(OTHER_DOORS):
            return None
        response = super().process_view(request, view_func, view_args, view_kwargs)
        if response is not None:
            return go_to_sign_in() if is_htmx(request) else response
        return self.check_role(request, view_func)

    def check_role(self, request: HttpRequest, view_func: Callable[..., Any]) -> HttpResponse | None:
        if not getattr(view_func, "login_required", True):
            return None
        try:
            role_in(request)
        except NotAllowed as refusal:
            return refused(request, str(refusal))
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, NotAllowed) and not request.path.startswith(OTHER_DOORS):
            return refused(request, str(exception))
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if hasattr(request, "yard_role") and not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response


def go_to_sign_in() -> HttpResponse:
    """What a script is told, instead of a page that it would swap in: htmx follows the header."""
    response = HttpResponse(status=401)
    response["HX-Redirect"] = "/sign-in"
    return response
