"""A sentence is English for who does not ask, and in the reader's language for who does."""

from __future__ import annotations

import copy
import json
import pickle

from pairscope.sentence import listed, phrase, phrase_of


def german(text: str) -> str:
    return {"%(path)s is missing": "%(path)s fehlt", "the file": "die Datei", "100% full": "100% voll"}.get(text, text)


def germans(one: str, many: str, num: int) -> str:
    return "%(num)s Datei" if num == 1 else "%(num)s Dateien"


def test_a_sentence_is_its_english_text() -> None:
    made = phrase("%(path)s is missing", path="/x")
    assert made == "/x is missing" and json.dumps([made]) == '["/x is missing"]' and type(str(made)) is str


def test_a_sentence_is_told_by_its_template_with_the_sentences_among_its_values() -> None:
    assert phrase("%(path)s is missing", path="/x").told(german, germans) == "/x fehlt"
    assert phrase("%(path)s is missing", path=phrase("the file")).told(german, germans) == "die Datei fehlt"


def test_a_sentence_without_values_may_have_a_percent_sign() -> None:
    assert phrase("100% full") == "100% full" and phrase("100% full").told(german, germans) == "100% voll"


def test_a_number_of_things_chooses_the_form() -> None:
    assert [phrase_of("%(num)s file", "%(num)s files", num) for num in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert phrase_of("%(num)s file", "%(num)s files", 2).told(german, germans) == "2 Dateien"


def test_a_copy_of_a_sentence_can_be_told_too() -> None:
    made = phrase("%(path)s is missing", path="100%")
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin == made and twin.told(german, germans) == "100% fehlt"


def test_sentences_in_a_row_are_told_each() -> None:
    assert listed([]) == "" and listed(["a"]) == "a" and listed(["a", phrase("the file"), "b"]) == "a, the file, b"
    assert str.__str__(listed([phrase("the file"), "b"])) == "the file, b"
    assert listed([phrase("the file"), "b"]).told(german, germans) == "die Datei, b"  # type: ignore[attr-defined]
