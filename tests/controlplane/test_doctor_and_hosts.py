"""`doctor` believes this machine's runhost, where that has said what it found."""

import pytest

from controlplane import doctor
from tests.factories import make_host

pytestmark = pytest.mark.django_db


def findings():
    return {found.name: found for found in (*doctor.check_presets(), doctor.check_limits())}


def test_it_tells_what_the_host_found(settings):
    programs = {"codex": "/opt/codex", "aider": ""}
    make_host(
        settings.HOST_NAME,
        equipment={"programs": programs, "presets_problem": "", "limits_problem": "not delegated"},
    )

    found = findings()

    assert found["preset codex"].text == f"/opt/codex on host {settings.HOST_NAME}"
    assert found["preset aider"].level == "note"
    assert (found["memory limits"].level, found["memory limits"].text) == ("note", "not delegated")


def test_it_looks_for_itself_while_no_host_answers(settings):
    make_host(
        settings.HOST_NAME,
        heartbeat_at=None,
        equipment={"programs": {"drill": ""}, "presets_problem": "", "limits_problem": "long ago"},
    )

    found = findings()

    assert found["preset drill"].text.endswith("on this machine (no host has reported yet)")
    assert found["memory limits"].text != "long ago"
