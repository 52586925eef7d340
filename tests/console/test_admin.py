"""The admin site: behind the yard's roles, read-only where actions own the rows, every change an event."""

import pytest

from apps.access.models import Membership
from apps.events.domain.actor import Role
from apps.events.models import Event
from tests.factories import make_agent, make_event, make_user, make_wave

pytestmark = pytest.mark.django_db

MODELS = [
    "access/apitoken",
    "access/membership",
    "alerts/alert",
    "alerts/delivery",
    "alerts/destination",
    "alerts/evaluation",
    "alerts/rule",
    "alerts/silence",
    "auth/user",
    "capacity/lease",
    "events/event",
    "fleet/agent",
    "fleet/host",
    "waves/wave",
    "workspaces/repository",
    "workspaces/workspace",
]


@pytest.mark.parametrize("model", MODELS)
def test_it_lists_rows_for_admins_alone(admin, operator, model):
    make_wave()
    make_agent()

    assert admin.get(f"/admin/{model}/").status_code == 200
    assert operator.get(f"/admin/{model}/", follow=True).status_code == 403


def test_it_sends_whoever_isnt_signed_in_to_the_consoles_own_door(client):
    answer = client.get("/admin/", follow=True)

    assert answer.redirect_chain[-1][0].startswith("/sign-in?next=")


def test_it_never_changes_an_event(admin):
    event = make_event("as it was")

    page = admin.get(f"/admin/events/event/{event.pk}/change/")
    admin.post(f"/admin/events/event/{event.pk}/change/", {"text": "as I like it"})
    admin.post(f"/admin/events/event/{event.pk}/delete/", {"post": "yes"})

    event.refresh_from_db()
    assert page.status_code == 200
    assert event.text == "as it was"


@pytest.mark.parametrize(
    "model", ["fleet/agent", "waves/wave", "workspaces/repository", "fleet/host", "alerts/alert"]
)
def test_it_leaves_to_actions_what_is_theirs(admin, model):
    assert admin.get(f"/admin/{model}/add/").status_code == 403


def test_it_gives_roles_and_writes_it_down(admin):
    person = make_user("newcomer", None)

    admin.post("/admin/access/membership/add/", {"user": person.pk, "role": int(Role.VIEWER)})

    assert Membership.objects.get(user=person).role == Role.VIEWER
    event = Event.objects.get(kind="admin.added")
    assert (event.actor, event.subject) == ("admin-person", "newcomer (viewer)")


def test_leaving_by_the_admin_s_own_button_is_an_event_too(admin):
    assert admin.get("/admin/logout/").status_code == 405

    answer = admin.post("/admin/logout/")

    assert answer["Location"] == "/sign-in"
    assert admin.get("/").status_code == 302
    event = Event.objects.get(kind="access.signed_out")
    assert (event.actor_kind, event.actor) == ("user", "admin-person")
