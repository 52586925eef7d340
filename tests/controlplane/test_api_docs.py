import re

import pytest
from django.test import Client

from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_the_documentation_loads_nothing_from_elsewhere():
    client = Client()
    client.force_login(make_user())

    page = client.get("/api/v1/docs")

    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert loaded
    assert [address for address in loaded if "//" in address] == []
    assert [client.get(address).status_code for address in loaded if address.endswith((".js", ".css"))] == [
        200
    ] * 3


def test_it_has_no_script_that_the_content_security_policy_refuses():
    client = Client()
    client.force_login(make_user())

    page = client.get("/api/v1/docs").content.decode()

    inline = re.findall(r"<script(?![^>]*src=)([^>]*)>", page)
    assert all('type="application/json"' in attributes for attributes in inline)


def test_it_asks_for_signing_in():
    assert Client().get("/api/v1/docs").status_code == 302
    assert Client().get("/api/v1/openapi.json").status_code == 302
