"""How long somebody waited, from readings."""

import pytest

from apps.builds.domain.lock_waits import LockKind, LockWaits, kind_of
from apps.lib.kernel_locks import File, Waiting

FILE = File(254, 0, 77)


def waits(*readings):
    """`readings`: the time, and the waits it shows as (waiter, holder)."""
    tracked, found = LockWaits(), []
    for now, pairs in readings:
        found += tracked.reading(now, [Waiting(waiter, holder, FILE) for waiter, holder in pairs])
    return found


def test_a_wait_is_as_long_as_it_was_seen_give_or_take_half_a_reading():
    (wait,) = waits((0.0, []), (1.0, [(7, 5)]), (2.0, [(7, 5)]), (3.0, []))

    assert (wait.waiter, wait.holder, wait.file) == (7, 5, FILE)
    assert (wait.began, wait.ended, wait.seconds) == (0.5, 2.5, 2.0)


def test_two_who_wait_for_one_are_two_waits():
    found = waits((0, []), (1, [(7, 5), (8, 5)]), (2, [(8, 7)]), (3, []))

    assert [(wait.waiter, wait.holder, wait.seconds) for wait in found] == [(7, 5, 1.0), (8, 5, 2.0)]


def test_one_who_waits_again_waited_twice():
    found = waits((0, []), (1, [(7, 5)]), (2, []), (3, [(7, 6)]), (4, []))

    assert [wait.holder for wait in found] == [5, 6]


def test_a_holder_that_the_kernel_names_later_is_kept():
    (wait,) = waits((0, []), (1, [(7, 0)]), (2, [(7, 5)]), (3, [(7, 0)]), (4, []))

    assert wait.holder == 5


def test_one_that_waited_before_the_first_reading_counts_from_there():
    (wait,) = waits((10.0, [(7, 5)]), (11.0, []))

    assert (wait.began, wait.ended) == (10.0, 10.5)


@pytest.mark.parametrize(
    ("path", "also_open", "kind"),
    [
        ("/b/debug/.cargo-lock", [], LockKind.BUILD_DIRECTORY),
        ("/b/debug/.cargo-lock", ["/b/debug/.cargo-lock", "/x/out.log"], LockKind.BUILD_DIRECTORY),
        (
            "/t/debug/.cargo-lock",
            ["/b/debug/.cargo-lock", "/t/debug/.cargo-lock"],
            LockKind.ARTIFACT_DIRECTORY,
        ),
        ("/home/x/.cargo/.package-cache", [], LockKind.PACKAGE_CACHE),
        ("/home/x/.cargo/.package-cache-mutate", [], LockKind.PACKAGE_CACHE),
        ("/r/.git/worktrees/a/index.lock", [], LockKind.GIT),
        ("/r/poetry.lock", [], LockKind.OTHER),
    ],
)
def test_a_lock_s_kind_is_told_by_its_file(path, also_open, kind):
    assert kind_of(path, also_open) == kind
