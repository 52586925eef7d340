from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from apps.console.moment import Moment
from apps.console.pages import now, page, require_operator
from apps.lib import questions
from apps.lib.questions import NoAnswer
from apps.workspaces.actions import add_repository
from apps.workspaces.exceptions import RepositoryRefused


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
