"""Signing in and out."""

from dataclasses import dataclass

from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from apps.access.actions import note_failed_sign_in, note_sign_in, note_sign_out, redeem_sign_in_link
from apps.access.exceptions import LinkRefused
from apps.access.roles import role_of
from apps.console.access.attempts import ADDRESS_LIMIT, LIMIT, SPAN, Attempt, Brake, address_of
from apps.console.pages import now

BACKEND = "django.contrib.auth.backends.ModelBackend"
WRONG = "This name and password don't belong together, or the account is closed."
NO_ROLE = "This account has no role yet: an admin gives it one under Admin, Memberships."
BLOCKED = f"Too many failed attempts: wait {SPAN.seconds // 60} minutes, or run `python manage.py signin` for a link."

by_name = Brake("name", LIMIT)
by_address = Brake("address", ADDRESS_LIMIT)


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    target = safe_target(request)
    if request.method == "GET":
        if role_of(request.user) is not None:
            return HttpResponseRedirect(target)
        return sign_in_page(request, target)
    name = request.POST.get("username", "")[:150]
    address = address_of(request.META)
    key = f"{address} {name}"
    attempt = begin(key, address)
    if attempt is None:
        return sign_in_page(request, target, BLOCKED, name, status=429)
    try:
        user = authenticate(request, username=name, password=request.POST.get("password", ""))
    except Exception:  # the database is away: no guess of theirs
        attempt.give_back()
        raise
    if user is None:
        note_failed_sign_in(username=name, address=address)
        return sign_in_page(request, target, WRONG, name, status=400)
    attempt.give_back()
    by_name.forget(key)
    if role_of(user) is None:
        return sign_in_page(request, target, NO_ROLE, name, status=403)
    login(request, user)
    note_sign_in(user=user, way="password")
    return HttpResponseRedirect(target)


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is counted as if it failed, until it is given back."""

    of_address: Attempt
    of_name: Attempt

    def give_back(self) -> None:
        by_address.give_back(self.of_address)
        by_name.give_back(self.of_name)


def begin(key: str, address: str) -> Begun | None:
    """None when there were too many. The address goes first: one that is blocked fills no names' counters."""
    of_address = by_address.take(address, now())
    if of_address is None:
        return None
    of_name = by_name.take(key, now())
    if of_name is None:
        by_address.give_back(of_address)
        return None
    return Begun(of_address, of_name)


def sign_in_page(
    request: HttpRequest, target: str, problem: str = "", name: str = "", status: int = 200
) -> HttpResponse:
    context = {"next": target, "problem": problem, "name": name}
    return render(request, "console/access/sign_in.html", context, status=status)


def safe_target(request: HttpRequest) -> str:
    """Where to go after signing in: a page of ours, whatever the address says."""
    target = request.POST.get("next") or request.GET.get("next") or "/"
    return (
        target if url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()) else "/"
    )


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """The link works once, and only by its button: programs that look at links in advance must not use it up."""
    if request.method == "GET":
        return render(request, "console/access/link.html", {})
    try:
        user = redeem_sign_in_link(token=token, now=now())
    except LinkRefused as refusal:
        return render(request, "console/access/link.html", {"problem": str(refusal)}, status=410)
    login(request, user, backend=BACKEND)
    return redirect("yard")


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        note_sign_out(user=request.user)
    logout(request)
    return redirect("sign-in")
