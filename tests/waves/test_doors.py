"""What comes in from outside: prompt files, and who may ask what a wave would do."""

import json

import pytest
from django.core.management import ManagementUtility
from django.test import Client

from apps.events.domain.actor import Role
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("command", ["start", "plan"])
def test_a_prompt_file_that_is_no_text_is_refused(tmp_path, capsys, command):
    prompt = tmp_path / "prompt"
    prompt.write_bytes(b"caf\xe9\n")
    argv = ["manage.py", "wave", command, "--json", "--repository", "x", "--preset", "drill", "--agents", "1"]

    with pytest.raises(SystemExit) as end:
        argv += ["--prompt-file", str(prompt)]
        ManagementUtility(argv).fetch_command("wave").run_from_argv(argv)

    said = capsys.readouterr()
    assert end.value.code == 1
    assert "no UTF-8 text" in json.loads(said.out)["error"]
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.OPERATOR, 200)])
def test_it_tells_operators_alone_what_a_wave_would_do(role, status):
    client = Client()
    client.force_login(make_user("ada", role))
    body = {"repository": "x", "preset": "drill", "agents": 1}

    answer = client.post("/api/v1/waves/plan", json.dumps(body), content_type="application/json")

    assert answer.status_code == status
