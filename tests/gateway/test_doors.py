import pytest

from apps.gateway.doors import bearer_token, is_foreign

ALLOWED = ["127.0.0.1", "localhost", "[::1]", ".yard.example"]


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"Bearer%20abc", "abc"),
        (b"Basic abc", ""),
        (b"abc", ""),
        (b"Bearer", ""),
        (b"", ""),
    ],
)
def test_it_reads_a_bearer_token(header, token):
    assert bearer_token([(b"host", b"x"), (b"Authorization", header)]) == token


def test_no_header_is_no_token():
    assert bearer_token([]) == ""


@pytest.mark.parametrize(
    ("origin", "foreign"),
    [
        (b"http://localhost:8000", False),
        (b"https://127.0.0.1", False),
        (b"http://[::1]:8000", False),
        (b"https://west.yard.example", False),
        (b"https://yard.example.evil.example", True),
        (b"http://localhost.evil.example", True),
        (b"http://localhost@evil.example", True),
        (b"null", True),
        (b"file://", True),
        (b"http://[oops", True),
    ],
)
def test_pages_of_other_sites_are_foreign(origin, foreign):
    assert is_foreign([(b"origin", origin)], ALLOWED) is foreign


def test_programs_send_no_origin():
    assert not is_foreign([(b"host", b"evil.example")], ALLOWED)
