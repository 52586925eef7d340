"""`manage.py alert`."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.alerts.models import Alert, Silence
from tests.factories import make_alert, make_rule

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("alert", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_it_lists_what_is_open():
    make_alert("very-slow", value=1432.0)
    make_alert("errors", state="resolved", resolved_at=make_alert("slow").fired_at)

    assert "very long" in run("list")
    assert "Operations fail" not in run("list")
    assert "Operations fail" in run("list", "--all")
    (slow, very_slow) = json.loads(run("list", "--json"))
    assert (very_slow["value"], very_slow["state"], slow["silenced_until"]) == (1432.0, "firing", None)


def test_it_says_when_there_is_nothing():
    assert "No alert is open" in run("list")


def test_it_acknowledges_silences_and_resolves():
    alert = make_alert()

    assert "is acknowledged" in run("ack", str(alert.pk))
    assert "is silenced until" in run("silence", str(alert.pk), "--hours", "8")
    assert "silenced_until" in run("list", "--json")
    assert "is resolved" in run("resolve", str(alert.pk))

    alert.refresh_from_db()
    assert alert.state == "resolved"
    silence = Silence.objects.get()
    assert (silence.until - silence.begun_at).total_seconds() == 8 * 3600


def test_it_refuses_with_a_reason():
    with pytest.raises(CommandError, match="There is no alert 7"):
        run("ack", "7")


def test_it_lists_rules_with_those_that_have_no_data():
    make_rule("slow", subjects=1)

    said = run("rules")

    assert "coordination" in said
    assert "no data" in said
    assert Alert.objects.count() == 0
