"""Build directories of people, made by a real `yard cargo` on a shell, and removed when nobody uses them."""

import fcntl
import io
import json
import os
import time

import pytest
from django.core.management import CommandError, call_command

from apps.builds import by_hand, places
from apps.builds.models import Build, BuildDirectory
from apps.events.models import Event
from controlplane import doctor
from tests.agentkit.test_yard_builds import make_crate, yard
from tests.factories import make_host

DAY = 24 * 3600

pytestmark = pytest.mark.needs("cargo")


@pytest.fixture
def crate(tmp_path):
    return make_crate(tmp_path / "crate")


def build(crate, home, who: str):
    """Returns its build directory."""
    before = set(by_hand.everywhere())
    assert yard(crate, home, "cargo", "check", AGENT_ID=who).returncode == 0
    return next(iter(set(by_hand.everywhere()) - before), None)


def leave_alone(directory, days: float) -> None:
    at = time.time() - days * DAY
    os.utime(directory, (at, at))


def clean(*words: str) -> str:
    out = io.StringIO()
    call_command("builds", "clean", "--by-hand", *words, stdout=out)
    return out.getvalue()


def test_one_that_nobody_used_for_a_week_is_removed_and_others_stay(crate, home, recorder):
    old, new = build(crate, home, "a1"), build(crate, home, "a2")
    recorder.turn()
    leave_alone(old, 7.1)
    leave_alone(new, 6.9)

    said = clean()

    assert (old.exists(), old.parent.parent.exists(), (new / "debug").is_dir()) == (False, False, True)
    assert "1 removed, which freed" in said
    assert [row.path for row in BuildDirectory.objects.all()] == [str(new)]
    assert Build.objects.count() == 2
    assert Event.objects.get(kind="builds.cleaned").subject == recorder.host.name


def test_it_says_first_what_it_would_remove(crate, home, db):
    make_host()
    old = build(crate, home, "a1")
    (old / "large").write_bytes(os.urandom(3 * 1024 * 1024))
    leave_alone(old, 8)

    (told,) = json.loads(clean("--dry-run", "--json"))

    assert (told["path"], told["removed"]) == (str(old), False)
    assert 3 * 1024 * 1024 <= told["frees_bytes"] < 30 * 1024 * 1024
    assert (old / "debug").is_dir()
    assert "would be removed" in clean("--dry-run")


def test_one_in_which_somebody_builds_stays(crate, home, db):
    make_host()
    old = build(crate, home, "a1")
    leave_alone(old, 30)
    with (old / "debug" / ".cargo-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as cargo holds it while it checks
        during = clean()
        kept = (old / "debug").is_dir()

    after = clean()

    assert ("somebody builds in it" in during, kept) == (True, True)
    assert ("1 removed" in after, old.exists()) == (True, False)


def test_a_build_that_has_nothing_to_do_is_a_use_as_well(crate, home, db):
    make_host()
    old = build(crate, home, "a1")
    leave_alone(old, 30)

    assert build(crate, home, "a1") is None

    assert "unused for 7 days" in clean()
    assert (old / "debug").is_dir()


def test_what_a_removal_left_that_was_cut_off_goes_with_the_next(crate, home, db):
    make_host()
    old = build(crate, home, "a1")
    half = old.rename(old.with_name(old.name + by_hand.GONE))

    clean()

    assert not half.exists()


def test_what_a_link_leads_to_stays(home, db, tmp_path):
    make_host()
    elsewhere = tmp_path / "one" / "elsewhere"
    (elsewhere / "debug").mkdir(parents=True)
    leave_alone(elsewhere, 30)
    person = places.by_hand() / "a1"
    (person / "crate-1").mkdir(parents=True)
    (person / "crate-1" / "stable-1").symlink_to(elsewhere)
    (person / "crate-2").symlink_to(elsewhere.parent)

    clean()

    assert (elsewhere / "debug").is_dir()


def test_doctor_tells_of_those_that_nobody_uses(crate, home, db):
    assert doctor.check_by_hand() == []
    old = build(crate, home, "a1")
    (in_use,) = doctor.check_by_hand()
    leave_alone(old, 8)

    (unused,) = doctor.check_by_hand()

    assert (in_use.level, in_use.hint) == ("ok", "")
    assert unused.text == "1 directories of people, 1 unused for 7 days"
    assert "builds clean --by-hand" in unused.hint


def test_on_a_machine_that_is_no_host_yet_it_says_so(home, db):
    with pytest.raises(CommandError, match="runhost"):
        clean()
