"""Settings that are wrong are refused in a sentence that names the setting and says what was expected."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pairscope import config
from pairscope.config import Settings, SettingsError

NAMES = [field.name for field in dataclasses.fields(Settings) if field.name != "source"]
VALUES = ("3", "-1", "1.5", "true", '"a word"', '""', "[]", "[1]", '["a"]', "{}", "1979-05-27", "nan", str(2**63))
"""As TOML has them, one of each kind of value."""


def written(place: Path, **settings: str) -> Path:
    values = {"state": f'"{place}"', "run": f'"{place}"', **settings}
    file = place / "settings.toml"
    file.write_text("".join(f"{name} = {value}\n" for name, value in values.items()))
    return file


@pytest.mark.parametrize("name", NAMES)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_setting(name: str, tmp_path: Path) -> None:
    taken = 0
    for value in VALUES:
        try:
            config.read(written(tmp_path, **{name: value}))
            taken += 1
        except SettingsError as error:
            assert name in str(error) and "expected" in str(error), value
    assert taken < len(VALUES) / 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trusted_hosts": '"localhost"'}, "trusted_hosts is 'localhost'; expected a list of strings"),
        ({"web_state": '""'}, "web_state is ''; expected the path of a directory"),
        ({"workers": "33"}, "workers is 33; expected a whole number from 1 to 32"),
        ({"journal_segment": "1048576", "journal_limit": "1048576"}, "expected at least two segments, 2097152"),
        ({"lab_programs": '"all"'}, "lab_programs is 'all'; expected 'operators' or 'off'"),
        ({"journal_sync": '"often"'}, "journal_sync is 'often'; expected 'none' or 'batch'"),
        ({"trusted_proxies": '["10.0.0.1/8"]'}, "trusted_proxies holds '10.0.0.1/8'; expected an address or a network"),
        ({"operator_token": '"too-short"'}, "operator_token has 9 characters; expected 12 or more"),
        ({"colour": "3"}, "unknown setting 'colour'; expected one of "),
    ],
)
def test_a_wrong_setting_is_told_with_what_was_expected(settings: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        config.read(written(tmp_path, **settings))
    assert words in str(refused.value)
