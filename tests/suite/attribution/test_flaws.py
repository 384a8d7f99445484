from __future__ import annotations

from collections import Counter

from suite.attribution.flaws import NEGATIVE, Flaws, phase_flaw, sentences, time_flaw, with_categories


def test_sentences_begin_with_the_number_and_the_most_frequent_comes_first() -> None:
    found = sentences({time_flaw("dur", "NaN"): 1, NEGATIVE: 1234})
    assert found == [
        "1,234 events whose duration is negative: left out",
        "1 event whose duration is NaN: left out",
    ]


def test_a_name_of_the_file_stays_on_its_line_and_short() -> None:
    assert phase_flaw("Q\n") == "of the phase 'Q\\n': left out, only complete events (X) are read"
    assert len(phase_flaw("x" * 10**6)) < 120


def test_categories_are_named_and_the_rest_of_many_is_counted() -> None:
    flaws = with_categories(Flaws({NEGATIVE: 2}), Counter({"b": 1, "a": 2, "": 3}))
    assert flaws == {NEGATIVE: 2, "of categories that are not read (no category, 'a', 'b'): left out": 6}
    (many,) = with_categories(Flaws(), Counter(f"c{number}" for number in range(9)))
    assert many == "of categories that are not read ('c0', 'c1', 'c2', 'c3', 'c4' and 4 more): left out"
    assert not with_categories(Flaws(), Counter())
