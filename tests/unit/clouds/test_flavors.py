"""The operator's file of flavors."""

from pathlib import Path

import pytest

from coffer.clouds.cloud import CloudMisconfigured, Flavor
from coffer.clouds.local.flavors import DEFAULT_FLAVORS, load_flavors

GOOD = 'id = "1"\nname = "db.tiny"\nram_mib = 512\nvcpus = 1\ndisk_gib = 5\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "flavors.toml"
    path.write_text(text, encoding="utf-8")
    return path


def entry(**changes: str) -> str:
    values = {"id": '"1"', "name": '"db.tiny"', "ram_mib": "512", "vcpus": "1", "disk_gib": "5"} | changes
    return "[[flavor]]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())


def test_without_a_file_there_is_the_default_table() -> None:
    assert load_flavors(None) == DEFAULT_FLAVORS
    assert [flavor.id for flavor in DEFAULT_FLAVORS] == ["1", "2", "3", "4", "5", "6"]
    assert [flavor.ram_mib for flavor in DEFAULT_FLAVORS[:3]] == [512, 1024, 2048]


def test_the_file_replaces_the_table_in_its_order(tmp_path: Path) -> None:
    text = entry(id='"b"', name='"big"', ram_mib="4096") + entry(id='"a"', name='"small ä"')
    assert load_flavors(written(tmp_path, text)) == (
        Flavor("b", "big", 4096, 1, 5),
        Flavor("a", "small ä", 512, 1, 5),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one"),
        ("flavor = []", "at least one"),
        ("flavor = 3", "at least one"),
        ("flavor = [3]", "flavor 1: it must be a table"),
        ("[[flavor]", "is not TOML"),
        ("[[flavour]]\n" + GOOD, "flavour is not known"),
        (entry() + entry(id="2", name='"x"'), "flavor 2: id must be a text .* not 2"),
        (entry(id='""'), "id must be a text"),
        (entry(id='"a\\u0000b"'), "id must be a text"),
        (entry(name='"  "'), "name must be a text"),
        (entry(name=f'"{"x" * 256}"'), "name must be a text"),
        (entry(ram_mib='"512"'), "ram_mib must be a whole number of at least 64, not '512'"),
        (entry(ram_mib="63"), "ram_mib must be a whole number of at least 64, not 63"),
        (entry(ram_mib="512.0"), "ram_mib must be a whole number"),
        (entry(vcpus="true"), "vcpus must be a whole number"),
        (entry(vcpus="0"), "vcpus must be"),
        (entry(disk_gib="-1"), "disk_gib must be"),
        (entry(disk_gib=str(2**31)), "disk_gib must be"),
        (entry(colour='"red"'), "flavor 1: colour is not known; an entry has id, name, ram_mib"),
        ('[[flavor]]\nid = "1"\nname = "x"\n', "flavor 1: ram_mib, vcpus, disk_gib is missing"),
        (entry() + entry(name='"other"'), "more than one flavor has the id 1"),
        (entry() + entry(id='"2"'), "more than one flavor has the name db.tiny"),
    ],
)
def test_a_bad_file_is_refused_with_file_entry_and_reason(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(CloudMisconfigured, match=said) as refused:
        load_flavors(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudMisconfigured, match="cannot be read: No such file"):
        load_flavors(tmp_path / "none.toml")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flavors.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CloudMisconfigured, match="is not TOML"):
        load_flavors(path)
