"""Every page wants a person with a role; what a role doesn't allow is said in plain words."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from apps.access.exceptions import NotAllowed
from apps.console.pages import refused

# These doors have locks of their own: tokens, and for probes nothing to hide.
OTHER_DOORS = ("/api/", "/healthz/")


class SignInRequired(LoginRequiredMiddleware):
    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if request.path.startswith(OTHER_DOORS):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, NotAllowed) and not request.path.startswith(OTHER_DOORS):
            return refused(request, str(exception))
        return None

    def handle_no_permission(self, request: HttpRequest, view_func: Callable[..., Any]) -> HttpResponseBase:
        """A request of a script is told by a header, which htmx follows, instead of a page it would swap in."""
        response = super().handle_no_permission(request, view_func)
        if request.headers.get("HX-Request") == "true":
            told = HttpResponse(status=401)
            told["HX-Redirect"] = "/sign-in"
            return told
        return response
