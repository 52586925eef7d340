from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.builds.option_actions import set_options
from apps.console import links
from apps.console.moment import Moment
from apps.console.pages import act, now, page, require_operator
from apps.events.domain.actor import Actor
from apps.lib import questions
from apps.lib.questions import NoAnswer
from apps.workspaces.actions import add_repository
from apps.workspaces.exceptions import RepositoryRefused
from apps.workspaces.models import Repository


@require_http_methods(["GET", "POST"])
def repositories(request: HttpRequest) -> HttpResponse:
    problem = ""
    if request.method == "POST":
        actor = require_operator(request, "add repositories")
        try:
            added = add_repository(
                path_or_url=request.POST.get("path_or_url", "").strip(" "),
                name=request.POST.get("name", "").strip() or None,
                target=request.POST.get("target", "").strip() or None,
                actor=actor,
                now=now(),
                ask=questions.ask,
            )
        except (RepositoryRefused, NoAnswer) as refusal:
            problem = str(refusal)
        else:
            messages.success(request, f"{added.name} is registered.")
            return redirect("repositories")
    response = page(
        request,
        "console/repositories/list.html",
        "repositories",
        Moment(now()),
        {"repositories_list": {}},
        problem=problem,
        given=request.POST,
    )
    response.status_code = 422 if problem else 200
    return response


@require_safe
def repository(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Repository, pk=pk)
    regions = {name: {"pk": str(pk)} for name in ("repository_head", "repository_builds")}
    return page(
        request, "console/repositories/repository.html", "repositories", Moment(now()), regions, row=shown
    )


@require_POST
def set_option(request: HttpRequest, pk: int, option: str) -> HttpResponse:
    """What is done for its builds, one thing of it: `to` is on or off, or a scheme."""
    row = get_object_or_404(Repository, pk=pk)
    word = request.POST.get("to", "")

    def deed(actor: Actor) -> str:
        set_options(repository=row, words={option: word}, actor=actor)
        return f"{option} is {word}, for agents that are made from now on."

    return act(request, deed, links.repository(pk))
