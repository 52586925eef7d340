from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST, require_safe

from apps.console import links
from apps.console.moment import Moment
from apps.console.pages import act, now, page
from apps.events.domain.actor import Actor
from apps.fleet.actions.operate import drain_host
from apps.fleet.models import Host

WISHES = {"drain": True, "open": False}


@require_safe
def hosts(request: HttpRequest) -> HttpResponse:
    return page(request, "console/hosts/list.html", "hosts", Moment(now()), {"hosts_list": {}})


@require_POST
def do(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    host = get_object_or_404(Host, pk=pk)
    if verb not in WISHES:
        return HttpResponse(status=404)

    def deed(actor: Actor) -> str:
        drain_host(host=host, draining=WISHES[verb], actor=actor)
        return (
            f"{host.name} drains: it gets no new agents."
            if WISHES[verb]
            else f"{host.name} takes agents again."
        )

    return act(request, deed, links.HOSTS)
