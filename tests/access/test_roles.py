"""Who is who: people become actors with a role, links and tokens are kept as hashes and end."""

from datetime import timedelta
from itertools import product

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from apps.access.actions import (
    LINK_LIFETIME,
    make_api_token,
    make_sign_in_link,
    redeem_sign_in_link,
    revoke_api_token,
)
from apps.access.domain.tokens import new_token, token_hash
from apps.access.exceptions import LinkRefused, NotAllowed
from apps.access.models import ApiToken, Membership, SignInLink
from apps.access.roles import actor_for, require, role_of, shell_actor
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event

pytestmark = pytest.mark.django_db
NOW = timezone.now()
ADMIN = Actor("user", "anna", Role.ADMIN)


def person(name="olga", role=Role.OPERATOR, **fields):
    user = get_user_model().objects.create(username=name, **fields)
    if role:
        Membership.objects.create(user=user, role=role)
    return user


@pytest.mark.parametrize(("has", "needs"), list(product(Role, Role)))
def test_a_role_may_do_all_that_lower_ones_may(has, needs):
    actor = Actor("user", "olga", has)

    if has >= needs:
        require(actor, needs, "do this")
    else:
        with pytest.raises(NotAllowed, match=f"olga is a {has.word}: to do this, the role {needs.word} is"):
            require(actor, needs, "do this")


@pytest.mark.parametrize("role", Role)
def test_a_person_has_the_role_of_their_membership(role):
    assert actor_for(person(role=role)) == Actor("user", "olga", role)


def test_without_a_membership_nothing_is_allowed():
    nobody = person(role=None)

    assert role_of(nobody) is None
    with pytest.raises(NotAllowed, match="an account that has a role"):
        actor_for(nobody)


def test_a_superuser_is_an_admin_and_a_stranger_is_nobody():
    assert role_of(person(role=None, is_superuser=True)) == Role.ADMIN
    assert role_of(AnonymousUser()) is None


def test_whoever_was_deactivated_is_nobody():
    assert role_of(person(is_active=False)) is None
    assert role_of(person("boss", is_active=False, is_superuser=True)) is None


def test_the_shell_is_an_admin_with_a_name():
    assert shell_actor().kind == "shell"
    assert shell_actor().role == Role.ADMIN
    assert shell_actor().name


# Links


def test_a_link_signs_in_once():
    token = make_sign_in_link(username="admin", now=NOW)

    user = redeem_sign_in_link(token=token, now=NOW)

    assert (user.get_username(), role_of(user), user.has_usable_password()) == ("admin", Role.ADMIN, False)
    with pytest.raises(LinkRefused, match=r"manage\.py signin"):
        redeem_sign_in_link(token=token, now=NOW)
    assert list(Event.objects.order_by("id").values_list("kind", "actor_kind", "actor")) == [
        ("access.link_made", "yard", "yard"),
        ("access.signed_in", "user", "admin"),
    ]


def test_a_link_for_somebody_who_is_there_leaves_their_role():
    person(role=Role.VIEWER)

    user = redeem_sign_in_link(token=make_sign_in_link(username="olga", now=NOW), now=NOW)

    assert role_of(user) == Role.VIEWER


@pytest.mark.parametrize("after", [LINK_LIFETIME, timedelta(days=1)])
def test_a_link_expires(after):
    token = make_sign_in_link(username="admin", now=NOW)

    with pytest.raises(LinkRefused):
        redeem_sign_in_link(token=token, now=NOW + after)


@pytest.mark.parametrize("token", ["", "link_", "link_x", "\udcff", "x" * 10_000])
def test_a_link_that_nobody_made_is_refused(token):
    with pytest.raises(LinkRefused):
        redeem_sign_in_link(token=token, now=NOW)


def test_a_link_lets_nobody_in_who_was_deactivated():
    token = make_sign_in_link(username="admin", now=NOW)
    get_user_model().objects.update(is_active=False)

    with pytest.raises(LinkRefused):
        redeem_sign_in_link(token=token, now=NOW)


# Tokens


def test_tokens_are_long_random_and_kept_as_hashes():
    tokens = {new_token("yard") for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token.partition("_")[2]) >= 43 for token in tokens)  # 256 bits

    link = make_sign_in_link(username="admin", now=NOW)
    token = make_api_token(user=person(), name="ci", role=Role.VIEWER, actor=ADMIN)
    kept = repr([*ApiToken.objects.values(), *SignInLink.objects.values(), *Event.objects.values()])
    assert link not in kept
    assert token not in kept
    assert ApiToken.objects.get().token_hash == token_hash(token)


def test_nobody_makes_a_token_above_their_own_role():
    with pytest.raises(NotAllowed, match="the role admin is needed"):
        make_api_token(user=person(), name="ci", role=Role.ADMIN, actor=Actor("user", "olga", Role.OPERATOR))
    assert not ApiToken.objects.exists()


def test_a_token_is_revoked_once_with_its_actor():
    make_api_token(user=person(), name="ci", role=Role.OPERATOR, actor=ADMIN)
    token = ApiToken.objects.get()

    with pytest.raises(NotAllowed):
        revoke_api_token(token=token, actor=Actor("user", "vera", Role.VIEWER), now=NOW)
    for _ in range(2):
        revoke_api_token(token=token, actor=ADMIN, now=NOW)

    token.refresh_from_db()
    assert not token.is_valid(NOW)
    assert Event.objects.filter(kind="access.token_revoked", actor="anna").count() == 1


def test_a_token_expires_on_its_second():
    token = ApiToken(expires_at=NOW)

    assert token.is_valid(NOW - timedelta(seconds=1))
    assert not token.is_valid(NOW)
