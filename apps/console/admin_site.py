"""The admin site behind the yard's own sign-in and roles, instead of Django's staff flag."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator

from apps.access.exceptions import NotAllowed
from apps.access.roles import role_of
from apps.console.access.views import sign_out
from apps.events.domain.actor import Role


def is_admin(request: HttpRequest) -> bool:
    """Read once a request: Django asks some dozen times, for each kind of row."""
    pk, known = getattr(request, "yard_admin", (None, False))
    if pk is None or pk != request.user.pk:
        role = role_of(request.user)
        known = role is not None and role >= Role.ADMIN
        request.yard_admin = (request.user.pk, known)  # type: ignore[attr-defined]
    return bool(known)


class YardAdminSite(AdminSite):
    site_header = "Swarmyard"
    site_title = "Swarmyard"
    index_title = "Admin"

    def has_permission(self, request: HttpRequest) -> bool:
        return is_admin(request)

    # A redirect to our own page, where Django's answers with one of the admin's.
    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # type: ignore[override]
        return sign_out(request)

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.user.is_authenticated and not is_admin(request):
            raise NotAllowed(
                "The admin pages are for admins. Another admin can change your role under Memberships."
            )
        return redirect_to_login(request.GET.get("next", "/admin/"))
