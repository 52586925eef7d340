import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.workspaces.domain.naming import (
    branch_of,
    is_url,
    name_from,
    name_is_valid,
    redacted,
    without_secrets,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/src/project", "project"),
        ("/src/project/", "project"),
        ("/src/project.git", "project"),
        ("/src/my project", "my-project"),
        ("/src/-rf", "rf"),
        ("/src/..hidden..", "hidden"),
        ("https://example.org/team/project.git", "project"),
        ("git@example.org:team/project.git", "project"),
        ("git@example.org:project", "project"),
        ("ssh://git@example.org:2222/team/project.git/", "project"),
        ("C:\\src\\project", "project"),
        ("/", "repository"),
        ("/src/проект", "repository"),
        ("/src/" + "x" * 300, "x" * 80),
    ],
)
def test_a_name_is_made_of_the_last_part(text, name):
    assert name_from(text) == name


@given(st.text())
def test_whatever_it_is_made_of_a_name_is_valid(text):
    assert name_is_valid(name_from(text))


@pytest.mark.parametrize("name", ["", "-rf", ".hidden", "a/b", "..", "a b", "a\n", "x" * 81, "é"])
def test_names_that_could_be_taken_for_something_else_are_not_valid(name):
    assert not name_is_valid(name)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("https://example.org/x", True),
        ("file:///srv/x.git", True),
        ("git@example.org:x", True),
        ("example.org:x", False),  # a file of that name may exist; git takes it for ssh only without one
        ("/srv/x", False),
        ("../x", False),
        ("x:y", False),
        ("ext::sh -c evil", False),
    ],
)
def test_it_tells_urls_from_paths(text, answer):
    assert is_url(text) is answer


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:s3cret@example.org/x.git", "https://example.org/x.git"),
        ("https://ghp_token@example.org/x.git", "https://example.org/x.git"),
        ("http://ada:s3cret@example.org:8080/x@y", "http://example.org:8080/x@y"),
        ("ssh://git:s3cret@example.org/x.git", "ssh://git@example.org/x.git"),
        ("ssh://git@example.org/x.git", "ssh://git@example.org/x.git"),
        ("git@example.org:team/x.git", "git@example.org:team/x.git"),
        ("https://example.org/team/x@y.git", "https://example.org/team/x@y.git"),
        ("file:///srv/x.git", "file:///srv/x.git"),
        ("https://example.org/x.git?private_token=s3cret", "https://example.org/x.git"),
        ("https://example.org/x.git#s3cret", "https://example.org/x.git"),
        ("https://example.org?token=s3cret@example.org", "https://example.org"),
        ("HTTPS://s3cret@example.org/x.git", "HTTPS://example.org/x.git"),
        ("https://ada:s3@cret@example.org/x.git", "https://example.org/x.git"),
        ("https://ada:s3/cret@example.org/x.git", "https://…"),
        ("https://ada:s3#cret@example.org/x.git", "https://…"),
        ("ssh://[2001:db8::1]:22/x.git", "ssh://[2001:db8::1]:22/x.git"),
        ("ada:s3cret@example.org:x.git", "ada@example.org:x.git"),
    ],
)
def test_urls_are_shown_without_their_secrets(url, shown):
    assert without_secrets(url) == shown


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_whatever_is_in_a_password_is_not_shown(password):
    secret = f"s3{password}cret"

    assert secret not in without_secrets(f"https://ada:{secret}@example.org/x.git")
    assert secret not in without_secrets(f"https://example.org/x.git?token={secret}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "fatal: unable to access 'https://ada:s3cret@example.org/x.git/': Could not resolve host",
            "fatal: unable to access 'https://example.org/x.git/': Could not resolve host",
        ),
        (
            "fatal: repository 'https://example.org/x.git/?token=s3cret/' not found",
            "fatal: repository 'https://example.org/x.git/' not found",
        ),
        (
            'remote: use "https://ada:s3@cret@example.org/x" or http://example.org/y#s3cret',
            'remote: use "https://example.org/x" or http://example.org/y',
        ),
        ("fatal: ada:s3cret@example.org:x.git: no", "fatal: ada@example.org:x.git: no"),
        ("fatal: 'git@example.org:team/x.git' is away", "fatal: 'git@example.org:team/x.git' is away"),
        ("error: src/a.py:12: no", "error: src/a.py:12: no"),
        ("fatal: could not read Username for 'https://example.org'", None),
    ],
)
def test_what_git_says_is_shown_without_the_secrets_of_its_urls(text, shown):
    assert redacted(text) == (shown or text)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_a_url_that_git_was_given_is_redacted_however_it_is_quoted(password):
    secret = f"s3{password}cret"
    url = f"https://ada:{secret}@example.org/x.git"
    asked = f"https://example.org/x.git?token={secret}"

    for said in (f"fatal: '{url}/info/refs' {url}", f"fatal: '{asked}&service=x' {asked}"):
        assert secret not in redacted(said, [url, asked])


def test_an_agent_s_branch_is_below_yard():
    assert branch_of("w12/agent-05") == "yard/w12/agent-05"
