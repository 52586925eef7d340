"""What build directories take on disk, and when that is looked at."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.builds import places
from apps.builds.disk_use import TookTooLong, disk_use
from apps.builds.models import BuildDirectory
from apps.builds.sizes import EVERY_SECONDS, measure_build_directories, measure_some, outdated
from apps.lib.queues import queue
from tests.factories import make_build_directory, make_host, now

MB = 1024 * 1024


def fill(path, size: int = MB) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


def test_it_counts_blocks_and_each_file_once_however_many_links_it_has(tmp_path):
    fill(tmp_path / "a" / "one")
    fill(tmp_path / "a" / "deep" / "two")
    before = disk_use(tmp_path / "a").bytes
    os.link(tmp_path / "a" / "one", tmp_path / "a" / "deep" / "again")

    found = disk_use(tmp_path / "a")

    assert (found.bytes, found.shared) == (before, 0)
    assert 2 * MB <= found.bytes < 3 * MB


def test_it_tells_what_has_links_elsewhere(tmp_path):
    fill(tmp_path / "base" / "lib")
    fill(tmp_path / "a" / "own")
    os.link(tmp_path / "base" / "lib", tmp_path / "a" / "lib")

    found = disk_use(tmp_path / "a")

    assert MB <= found.shared < 2 * MB <= found.bytes


def test_a_file_with_holes_counts_by_what_is_there(tmp_path):
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "sparse").open("wb") as file:
        file.truncate(500 * MB)

    assert disk_use(tmp_path / "a").bytes < MB


def test_it_follows_no_links(tmp_path):
    fill(tmp_path / "elsewhere" / "large", 8 * MB)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")

    assert disk_use(tmp_path / "a").bytes < MB


def test_it_gives_up_on_what_takes_too_long(tmp_path):
    fill(tmp_path / "a" / "one")

    with pytest.raises(TookTooLong):
        disk_use(tmp_path / "a", seconds=-1)


@pytest.fixture
def directory(home, db) -> BuildDirectory:
    place = places.root() / "directories" / "1" / "stable-0a1b2c3d"
    fill(place / "lib.rlib", 3 * MB)
    return make_build_directory(path=str(place))


def test_one_that_was_used_is_measured_once(directory):
    assert measure_some("local") == 1
    assert measure_some("local") == 0

    directory.refresh_from_db()
    assert 3 * MB <= directory.size_bytes < 4 * MB
    assert directory.shared_bytes == 0


def test_one_that_was_used_again_is_measured_again(directory):
    measure_some("local")
    fill(places.root() / "directories" / "1" / "stable-0a1b2c3d" / "more", 2 * MB)
    BuildDirectory.objects.update(used_at=now())

    measure_some("local")

    directory.refresh_from_db()
    assert directory.size_bytes >= 5 * MB


def test_one_of_another_host_is_left_to_that(directory):
    BuildDirectory.objects.update(host=make_host("builder"))

    assert measure_some("local") == 0
    assert measure_some("builder") == 1


def test_one_that_is_gone_has_no_size(directory, tmp_path):
    BuildDirectory.objects.update(path=str(places.root() / "directories" / "gone"), size_bytes=5)

    assert measure_some("local") == 1

    directory.refresh_from_db()
    assert directory.size_bytes is None
    assert not outdated().exists()


@pytest.mark.parametrize("where", ["{home}/../elsewhere", "{home}/builds/../../elsewhere", "/"])
def test_one_outside_of_the_yard_is_not_walked(directory, tmp_path, settings, where):
    fill(tmp_path / "elsewhere" / "large")
    BuildDirectory.objects.update(path=where.format(home=settings.SWARMYARD_HOME))

    measure_some("local")

    directory.refresh_from_db()
    assert directory.size_bytes is None


def test_one_that_its_user_chose_is_never_looked_at(home, db):
    make_build_directory(path="/", key="")

    assert measure_some("local") == 0


@pytest.mark.django_db(transaction=True)
def test_a_job_goes_to_each_host_that_has_some(home, queues, redis_server):
    make_build_directory(path="/srv/one")
    make_build_directory(path="/srv/two", host=make_host("builder"))
    make_build_directory(path="/srv/three", host=make_host("idle"), used_at=None)
    at = timezone.now()

    measure_build_directories(at)
    measure_build_directories(at + timedelta(seconds=1))

    assert [len(queue(f"host.{name}")) for name in ("local", "builder", "idle")] == [1, 1, 0]
    (job,) = queue("host.builder").jobs
    assert (job.func_name, list(job.args)) == ("apps.builds.jobs.measure_directories_job", ["builder"])

    measure_build_directories(at + timedelta(seconds=EVERY_SECONDS + 1))
    assert len(queue("host.local")) == 2
