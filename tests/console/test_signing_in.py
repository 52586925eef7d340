from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.test import Client

from apps.access.actions import make_sign_in_link
from apps.console.access import attempts, views
from apps.console.access.attempts import ADDRESS_LIMIT, LIMIT, SPAN, Brake
from apps.events.domain.actor import Role
from apps.events.models import Event
from tests.factories import make_user

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 1, tzinfo=UTC)


def make_person(name: str = "ada", password: str = "over-the-hills", role: Role | None = Role.OPERATOR):
    user = make_user(name, role)
    user.set_password(password)
    user.save()
    return user


def sign_in(client: Client, name: str = "ada", password: str = "over-the-hills", **more):
    return client.post("/sign-in", {"username": name, "password": password, **more})


def test_it_signs_in_with_name_and_password_and_goes_where_one_wanted_to():
    make_person()
    client = Client()

    answer = sign_in(client, next="/waves/?state=open")

    assert answer.status_code == 302
    assert answer["Location"] == "/waves/?state=open"
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_it_never_redirects_to_another_site(target):
    make_person()

    answer = sign_in(Client(), next=target)

    assert answer["Location"] == "/"


def test_it_refuses_a_wrong_password_and_keeps_the_name():
    make_person()

    answer = sign_in(Client(), password="guess")

    assert answer.status_code == 400
    assert "belong together" in answer.content.decode()
    assert 'value="ada"' in answer.content.decode()


def test_it_refuses_an_account_without_a_role_and_says_who_can_help():
    make_person(role=None)
    client = Client()

    answer = sign_in(client)

    assert answer.status_code == 403
    assert "an admin gives it one" in answer.content.decode()
    assert client.get("/").status_code == 302


def test_it_refuses_a_closed_account():
    user = make_person()
    user.is_active = False
    user.save()

    assert sign_in(Client()).status_code == 400


def test_it_blocks_an_address_and_name_after_ten_failures_even_with_the_right_password():
    make_person()
    client = Client()
    for _ in range(LIMIT):
        assert sign_in(client, password="guess").status_code == 400

    blocked = sign_in(client)
    other_name = sign_in(client, name="bob", password="guess")
    other_address = sign_in(Client(REMOTE_ADDR="10.0.0.9"))

    assert blocked.status_code == 429
    assert "wait 5 minutes" in blocked.content.decode()
    assert other_name.status_code == 400
    assert other_address.status_code == 302


@pytest.fixture(params=["in Redis", "in this process"])
def brake(request, settings):
    """One that counts in Redis, and one that can't."""
    if request.param == "in Redis":
        request.getfixturevalue("redis_server")
    return Brake("test", LIMIT)


def test_it_forgets_attempts_after_their_span(brake):
    for _ in range(LIMIT):
        assert brake.take("ada", START)

    assert not brake.take("ada", START + SPAN - timedelta(seconds=1))
    assert brake.take("ada", START + SPAN)


def test_it_counts_an_attempt_that_is_given_back_no_more(brake):
    for _ in range(LIMIT + 5):
        attempt = brake.take("ada", START)
        assert attempt
        brake.give_back(attempt)

    assert brake.take("ada", START)


def test_it_counts_attempts_of_the_same_moment_one_by_one(brake):
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: brake.take("ada", START), range(40)))

    assert sum(attempt is not None for attempt in taken) == LIMIT


def test_it_gives_an_attempt_back_where_it_was_counted(redis_server):
    brake = Brake("test", LIMIT)
    in_redis = [brake.take("ada", START) for _ in range(LIMIT)]
    redis_server.kill()
    here = [brake.take("ada", START) for _ in range(LIMIT)]

    brake.give_back(in_redis[0])
    assert brake.take("ada", START) is None  # here it is full as before
    redis_server.start()
    brake.give_back(here[0])
    assert brake.take("ada", START) is None
    redis_server.kill()
    assert brake.take("ada", START)


def test_redis_keeps_nothing_of_attempts_that_were_given_back_or_forgotten(redis_server):
    brake = Brake("test", LIMIT)
    brake.take("eve", START)
    brake.give_back(brake.take("eve", START))
    brake.give_back(brake.take("ada", START))
    brake.take("bob", START)
    brake.forget("bob")

    redis = redis_server.client()
    assert redis.zcard(brake._key("eve")) == 1
    assert redis.zrange("yard:sign-in:test:keys", 0, -1) == [brake._key("eve").encode()]


def test_an_address_that_is_blocked_pushes_out_no_counters_of_names(redis_server, monkeypatch):
    monkeypatch.setattr(attempts, "MAX_KEYS", 2)
    monkeypatch.setattr(views, "by_address", Brake("address", 2))
    for name in ("a", "b", "c", "d"):
        sign_in(Client(), name=name, password="guess")

    monkeypatch.setattr(views, "by_address", Brake("free", 2))
    monkeypatch.setattr(views, "by_name", Brake("name", 1))

    assert sign_in(Client(), name="a", password="guess").status_code == 429


def test_an_attempt_that_nobody_could_judge_counts_no_more(redis_server, monkeypatch):
    make_person()

    def no_database(*arguments, **more):
        raise OperationalError("no connection")

    with monkeypatch.context() as away:
        away.setattr(views, "authenticate", no_database)
        for _ in range(ADDRESS_LIMIT + 1):
            with pytest.raises(OperationalError):
                sign_in(Client())

    assert sign_in(Client()).status_code == 302
    assert redis_server.client().keys("yard:sign-in:*") == []


def test_it_keeps_attempts_of_a_bounded_number_of_names(brake, monkeypatch):
    monkeypatch.setattr(attempts, "MAX_KEYS", 20)
    for number in range(50):
        for _ in range(LIMIT):
            brake.take(f"name-{number}", START + timedelta(milliseconds=number))

    assert not brake.take("name-49", START + timedelta(seconds=1))
    assert brake.take("name-0", START + timedelta(seconds=1))


def test_what_redis_keeps_of_it_ends_by_itself_and_names_nobody(redis_server):
    Brake("test", LIMIT).take("ada", START)

    redis = redis_server.client()
    keys = redis.keys("yard:sign-in:*")
    assert len(keys) == 2
    assert all(0 < redis.ttl(key) <= SPAN.total_seconds() for key in keys)
    assert not any(b"ada" in key for key in keys)


def test_it_blocks_in_every_web_process_at_once(redis_server, monkeypatch):
    make_person()
    for _ in range(LIMIT // 2):
        sign_in(Client(), password="guess")
    # Another process, or the same after a restart: it remembers nothing of its own.
    monkeypatch.setattr(views, "by_name", Brake("name", LIMIT))
    for _ in range(LIMIT // 2):
        assert sign_in(Client(), password="guess").status_code == 400

    assert sign_in(Client()).status_code == 429


def test_a_success_forgets_what_failed_before(redis_server):
    make_person()
    for _ in range(2):
        for _ in range(LIMIT - 1):
            sign_in(Client(), password="guess")

        assert sign_in(Client()).status_code == 302


def test_with_redis_gone_people_sign_in_and_guessers_are_blocked(redis_server):
    make_person()
    sign_in(Client(), password="guess")
    redis_server.kill()

    assert sign_in(Client()).status_code == 302
    for _ in range(LIMIT):
        sign_in(Client(), password="guess")
    assert sign_in(Client()).status_code == 429


def test_it_doesnt_use_a_link_up_when_it_is_only_looked_at():
    token = make_sign_in_link(username="ada", now=datetime.now(UTC))
    client = Client()

    looked = client.get(f"/sign-in/link/{token}")
    again = client.get(f"/sign-in/link/{token}")
    pressed = client.post(f"/sign-in/link/{token}")

    assert looked.status_code == again.status_code == 200
    assert pressed.status_code == 302
    assert client.get("/").status_code == 200
    assert Event.objects.filter(kind="access.signed_in").count() == 1


def test_it_takes_a_link_once():
    token = make_sign_in_link(username="ada", now=datetime.now(UTC))
    Client().post(f"/sign-in/link/{token}")
    second = Client()

    answer = second.post(f"/sign-in/link/{token}")

    assert answer.status_code == 410
    assert "manage.py signin" in answer.content.decode()
    assert second.get("/").status_code == 302


def test_it_signs_out_by_post_alone(operator):
    assert operator.get("/sign-out").status_code == 405

    operator.post("/sign-out")

    assert operator.get("/").status_code == 302


def test_it_blocks_an_address_that_tries_name_after_name():
    make_person()
    client = Client()
    for number in range(ADDRESS_LIMIT):
        assert sign_in(client, name=f"guess-{number}", password="guess").status_code == 400

    assert sign_in(client).status_code == 429
    assert sign_in(Client(REMOTE_ADDR="10.0.0.9")).status_code == 302


def test_it_goes_by_the_address_that_the_tls_proxy_saw(settings):
    make_person()
    settings.BEHIND_TLS = True
    guesser = Client(headers={"X-Forwarded-For": "10.9.9.9, 192.0.2.7"})
    for _ in range(LIMIT):
        sign_in(guesser, password="guess")

    again = sign_in(Client(headers={"X-Forwarded-For": "1.2.3.4, 192.0.2.7"}))
    another = sign_in(Client(headers={"X-Forwarded-For": "192.0.2.8"}))

    assert again.status_code == 429
    assert another.status_code == 302


def test_it_believes_no_forwarded_address_without_a_tls_proxy():
    make_person()
    for number in range(LIMIT):
        sign_in(Client(headers={"X-Forwarded-For": f"10.0.0.{number}"}), password="guess")

    assert sign_in(Client()).status_code == 429


def test_it_records_who_signed_in_who_failed_and_who_signed_out():
    make_person()
    client = Client()

    sign_in(client, password="guess")
    sign_in(client)
    client.post("/sign-out")
    Client().post("/sign-out")

    events = Event.objects.filter(kind__startswith="access.sign").order_by("pk")
    assert [(event.kind, event.actor, event.text) for event in events] == [
        ("access.sign_in_failed", "yard", "failed sign-in as “ada” from 127.0.0.1"),
        ("access.signed_in", "ada", "ada signed in by password"),
        ("access.signed_out", "ada", "ada signed out"),
    ]


def test_it_records_no_more_failures_than_the_brake_lets_through():
    make_person()
    client = Client()

    for _ in range(LIMIT + 5):
        sign_in(client, password="guess")

    assert Event.objects.filter(kind="access.sign_in_failed").count() == LIMIT


@pytest.mark.parametrize("password", ["short-1", "password1234", "8236450917", "ada-lovelace"])
def test_it_takes_no_password_that_is_quickly_guessed(password):
    user = make_user("ada-lovelace")

    with pytest.raises(ValidationError):
        validate_password(password, user)
