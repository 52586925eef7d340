import pytest

from apps.lib.paths import OutsideRoot, read_or_make, remove_tree, write_whole


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "file").write_text("inside")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("precious")
    return tmp_path / "root"


def test_it_writes_whole_files(tmp_path):
    write_whole(tmp_path / "file", b"old")
    write_whole(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_what_is_made_once_is_kept_and_private(tmp_path):
    assert read_or_make(tmp_path / "key", lambda: "first") == "first"
    assert read_or_make(tmp_path / "key", lambda: "second") == "first"

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_of_several_that_make_it_the_first_one_wins(tmp_path):
    def make():
        (tmp_path / "key").write_text("theirs")  # somebody was a moment faster
        return "ours"

    assert read_or_make(tmp_path / "key", make) == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_it_removes_a_directory_with_all_in_it(root):
    assert remove_tree(root, "a") is True
    assert list(root.iterdir()) == []


def test_removing_what_is_not_there_is_no_error(root):
    assert remove_tree(root, "nothing/here") is False


def test_it_removes_a_link_and_not_what_it_points_to(root):
    (root / "link").symlink_to(root.parent / "other")
    (root / "a" / "link").symlink_to(root.parent / "other")

    remove_tree(root, "link")
    remove_tree(root, "a")

    assert (root.parent / "other" / "file").read_text() == "precious"
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("path", ["..", "../other", "a/../../other", "/etc", "", "."])
def test_it_removes_nothing_outside(root, path):
    with pytest.raises(OutsideRoot):
        remove_tree(root, path)

    assert (root.parent / "other" / "file").exists()


def test_it_does_not_pass_through_a_link(root):
    (root / "link").symlink_to(root.parent / "other")

    with pytest.raises(OutsideRoot):
        remove_tree(root, "link/file")

    assert (root.parent / "other" / "file").exists()


def test_it_does_not_remove_the_root_itself(root):
    with pytest.raises(OutsideRoot):
        remove_tree(root, root)
