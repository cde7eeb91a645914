"""The two languages: every text in both, and numbers, money and times as each writes them."""

import re
from importlib.resources import files
from string import Formatter

import pytest

from oms_console.i18n import LANGUAGES, Tongue, catalog, preferred

EN, ZH = Tongue("en", "UTC"), Tongue("zh", "Asia/Shanghai")
PLURAL = ".one"


def texts() -> set[str]:
    return {template.read_text("utf-8") for template in files("oms_console").joinpath("templates").iterdir()}


def test_both_catalogs_have_the_same_keys() -> None:
    assert catalog("en").keys() == catalog("zh").keys()
    assert set(LANGUAGES) == {"en", "zh"}


@pytest.mark.parametrize("key", catalog("en"))
def test_both_languages_fill_a_text_with_the_same_values(key: str) -> None:
    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    english, chinese = names(catalog("en")[key]), names(catalog("zh")[key])
    # One thing may be said in words; a count of one need not be named.
    assert english == chinese or (key.endswith(PLURAL) and english | chinese == {"count"})
    assert catalog("en")[key].strip()
    assert catalog("zh")[key].strip()


def test_every_text_that_a_template_asks_for_is_there() -> None:
    asked = {key for text in texts() for key in re.findall(r'\bt\("([^"]+)"[,)]', text)}
    assert len(asked) > 150
    assert asked - catalog("en").keys() == set()


@pytest.mark.parametrize(
    ("minor", "currency", "english", "chinese"),
    [
        (123456, "GBP", "£1,234.56", "£1,234.56"),
        (-5, "GBP", "−£0.05", "−£0.05"),
        (123456, "CNY", "CN¥1,234.56", "¥1,234.56"),
        (1234, "JPY", "JP¥1,234", "JP¥1,234"),
        (1234567, "KWD", "KWD1,234.567", "KWD1,234.567"),
        (100, "RSD", "RSD1.00", "RSD1.00"),
        (9_007_199_254_740_993, "GBP", "£90,071,992,547,409.93", "£90,071,992,547,409.93"),
    ],
)
def test_money(minor: int, currency: str, english: str, chinese: str) -> None:
    assert EN.money(minor, currency) == english
    assert ZH.money(minor, currency) == chinese


def test_nothing_is_a_dash() -> None:
    assert (EN.money(None, "GBP"), EN.number(None), EN.time(None), EN.percent(None)) == ("–", "–", "–", "–")


def test_times_are_told_in_the_persons_zone_and_language() -> None:
    assert EN.time("2026-03-02T16:05:09Z") == "2 Mar 2026 16:05:09"
    assert ZH.time("2026-03-02T16:05:09Z") == "2026年3月3日 00:05:09"
    assert EN.short_time("2026-03-02T16:05:09+00:00") == "2 Mar 2026 16:05"
    assert Tongue("en", "America/New_York").short_time("2026-07-01T00:00:00Z") == "30 Jun 2026 20:00"


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0.212, "212 ms", "212 毫秒"),
        (59, "59 s", "59 秒"),
        (61, "1 min 1 s", "1 分钟 1 秒"),
        (3600, "1 h", "1 小时"),
        (3 * 86_400 + 7_200 + 59, "3 d 2 h", "3 天 2 小时"),
        (-90, "−1 min 30 s", "−1 分钟 30 秒"),
    ],
)
def test_lengths_of_time(seconds: float, english: str, chinese: str) -> None:
    assert EN.span(seconds) == english
    assert ZH.span(seconds) == chinese


def test_counts_choose_their_words_and_are_written_out() -> None:
    assert EN.say("order.payments", count=1) == "1 payment"
    assert EN.say("order.payments", count=1200) == "1,200 payments"


def test_a_code_without_a_word_is_shown_as_it_is() -> None:
    assert EN.word("hold", "SOMETHING_NEW") == "SOMETHING NEW"
    assert EN.word("hold", None) == "–"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en;q=0.5, zh-TW;q=0.7", "zh"),
        ("fr, de;q=0.9", "en"),
        ("", "en"),
        ("en;q=x,zh;q=0.1", "zh"),
    ],
)
def test_the_browsers_language_is_taken(header: str, language: str) -> None:
    assert preferred(header, "en") == language
