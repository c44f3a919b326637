"""A dataset names files inside its own folder, with templates that only fill in numbers."""

from __future__ import annotations

import pytest

from worldmodel.data.lerobot import layout
from worldmodel.errors import UserError
from worldmodel.files.paths import check_template, inside

FIELDS = ("video_key", "chunk_index", "file_index")


@pytest.mark.parametrize(
    "template", [layout.VIDEO_PATH, "all.mp4", "{chunk_index}/{file_index:d}.mp4", "{{}}"]
)
def test_templates_of_lerobot_are_read(template):
    check_template(template, FIELDS, "info.json['video_path']")


@pytest.mark.parametrize(
    "template",
    [
        "{chunk_index:99999999999}",
        "{chunk_index:010d}",
        "{chunk_index:{file_index}}",
        "{chunk_index:>9}",
        "{chunk_index.__class__}",
        "{video_key[0]}",
        "{video_key:9}",
        "{chunk_index!r}",
        "{episode_index:06d}",
        "{}",
        "{0}",
        "{chunk_index",
        "a\0b",
        "a" * 2000,
    ],
)
def test_templates_that_could_do_more_are_refused(template):
    with pytest.raises(UserError, match=r"info\.json\['video_path'\].*chunk_index.*:03d") as raised:
        check_template(template, FIELDS, "info.json['video_path']")
    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()


@pytest.fixture
def root(tmp_path):
    (tmp_path / "secret").write_text("x")
    folder = tmp_path / "dataset"
    (folder / "data").mkdir(parents=True)
    (folder / "data/a").write_text("x")
    return folder


def test_a_file_inside_is_found_by_any_path_to_it(root):
    (root / "link").symlink_to("data/a")
    for name in ("data/a", "data/../data/a", "link"):
        assert inside(root, name, "info.json").samefile(root / "data/a")


@pytest.mark.parametrize("allow", [False, True])
def test_paths_never_lead_out(root, allow):
    for name in ("../secret", "data/../../secret", str(root.parent / "secret")):
        with pytest.raises(UserError, match=r"file inside .*secret' in info\.json, which leads"):
            inside(root, name, "info.json", allow)


def test_links_lead_out_only_if_that_was_asked_for(root):
    (root / "link").symlink_to("../secret")
    (root / "folder").symlink_to("..")
    for name in ("link", "folder/secret"):
        with pytest.raises(UserError, match=r"a link that leads to .*allow_links_outside=true"):
            inside(root, name, "info.json")
        assert inside(root, name, "info.json", allow_links_outside=True).read_text() == "x"


def test_what_is_no_file_is_told(root):
    for name in ("data", "data/b", "data/a/b"):
        with pytest.raises(UserError, match=r"the file .*which is missing"):
            inside(root, name, "info.json")
    with pytest.raises(UserError, match=r"path of a file in info\.json"):
        inside(root, "a" * 400, "info.json")
