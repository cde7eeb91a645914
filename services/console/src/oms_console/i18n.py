"""The two languages: texts from catalogs, numbers, money and times as each writes them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from babel.numbers import (
    format_compact_currency,
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
)

from oms_events.values import CURRENCIES

LANGUAGES = {"en": "English", "zh": "中文"}
_LOCALES = {"en": "en_GB", "zh": "zh_CN"}
_TAGS = {"en": "en-GB", "zh": "zh-CN"}


@cache
def catalog(language: str) -> Mapping[str, str]:
    """The texts of a language by key."""
    content = files("oms_console").joinpath("catalogs", f"{language}.json").read_text("utf-8")
    texts: dict[str, str] = json.loads(content)
    return texts


def digits_of(currency: str) -> int:
    """Digits behind the point of a currency's amounts, by ISO 4217. Not those of the Unicode CLDR: it drops the ones
    that are no longer used in cash, and amounts in minor units would come out a hundred times too large."""
    return CURRENCIES.get(currency, 2)


@lru_cache(maxsize=20_000)
def _money(minor: int, currency: str, language: str) -> str:
    digits = digits_of(currency)
    pattern = "¤#,##0" + (f".{'0' * digits}" if digits else "")
    amount = Decimal(minor).scaleb(-digits)
    shown = format_currency(amount, currency, pattern, _LOCALES[language], currency_digits=False)
    return shown.replace("-", "\N{MINUS SIGN}")


@lru_cache(maxsize=20_000)
def _number(value: int, language: str) -> str:
    return format_decimal(value, locale=_LOCALES[language]).replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True, slots=True)
class Tongue:
    """How things are said to one person: their language and their time zone."""

    language: str
    zone: str
    _texts: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", catalog(self.language))

    @property
    def tag(self) -> str:
        """The language's tag for HTML."""
        return _TAGS[self.language]

    def say(self, key: str, **values: Any) -> str:  # noqa: ANN401 - whatever a text is filled with
        """A text of the catalog. Whole numbers in it are written as the language writes them.

        `count` chooses between `<key>` and `<key>.one`. Raises KeyError for a key that is not there.
        """
        if values.get("count") == 1 and f"{key}.one" in self._texts:
            key = f"{key}.one"
        text = self._texts[key]
        return text.format(**{name: self._written(value) for name, value in values.items()}) if values else text

    def word(self, kind: str, code: str | None) -> str:
        """The word for a code of the system; the code itself where the catalog has none."""
        return self._texts.get(f"{kind}.{code}", (code or "").replace("_", " ")) if code else "–"

    def has(self, key: str) -> bool:
        """Whether the catalog has a text."""
        return key in self._texts

    def number(self, value: int | None) -> str:
        """A whole number."""
        return "–" if value is None else _number(value, self.language)

    def compact(self, value: int) -> str:
        """A whole number in a few characters, for axes."""
        return format_compact_decimal(value, locale=_LOCALES[self.language], fraction_digits=1)

    def percent(self, share: float | None, digits: int = 1) -> str:
        """A share of one."""
        if share is None:
            return "–"
        pattern = "#,##0" + (f".{'0' * digits}" if digits else "") + "%"
        return format_percent(share, pattern, locale=_LOCALES[self.language]).replace("-", "\N{MINUS SIGN}")

    def money(self, minor: int | None, currency: str | None) -> str:
        """An amount in minor units."""
        return "–" if minor is None or not currency else _money(minor, currency, self.language)

    def compact_money(self, minor: int, currency: str) -> str:
        """An amount in a few characters."""
        amount = round(Decimal(minor).scaleb(-digits_of(currency)))
        return format_compact_currency(amount, currency, locale=_LOCALES[self.language], fraction_digits=1)

    def local(self, moment: str | datetime) -> datetime:
        """The instant in the person's zone."""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return at.astimezone(ZoneInfo(self.zone))

    def time(self, moment: str | datetime | None, skeleton: str = "yMMMdHms") -> str:
        """An instant in the person's zone."""
        return "–" if moment is None else _time(self.local(moment), skeleton, self.language)

    def short_time(self, moment: str | datetime | None) -> str:
        """An instant without its seconds."""
        return self.time(moment, "yMMMdHm")

    def day(self, day: str) -> str:
        """A date without a time."""
        return format_date(date.fromisoformat(day), "medium", locale=_LOCALES[self.language])

    def span(self, length: timedelta | float) -> str:
        """A length of time in its two largest units."""
        seconds = length.total_seconds() if isinstance(length, timedelta) else length
        if abs(seconds) < 1:
            return self.say("span.ms", count=round(seconds * 1000))
        parts = _parts(round(abs(seconds)))
        return ("\N{MINUS SIGN}" if seconds < 0 else "") + " ".join(
            self.say(f"span.{unit}", count=count) for unit, count in parts
        )

    def _written(self, value: object) -> object:
        return self.number(value) if isinstance(value, int) and not isinstance(value, bool) else value


_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def _parts(seconds: int) -> list[tuple[str, int]]:
    """The largest unit that fits and, where something is left, the one below it."""
    for place, (unit, length) in enumerate(_UNITS):
        if seconds >= length:
            count, left = divmod(seconds, length)
            below = _UNITS[place + 1 : place + 2]
            more = [(below[0][0], left // below[0][1])] if below and left // below[0][1] else []
            return [(unit, count), *more]
    return [("s", 0)]


def _time(local: datetime, skeleton: str, language: str) -> str:
    locale = _locale(language)
    if skeleton in locale.datetime_skeletons:
        return format_skeleton(skeleton, local, locale=locale)
    date, time = _split(skeleton)
    shown = format_skeleton(date, local, locale=locale)
    clock = format_datetime(local, "HH:mm:ss" if time == "Hms" else "HH:mm", locale=locale)
    return f"{shown} {clock}"


def _split(skeleton: str) -> tuple[str, str]:
    place = skeleton.index("H")
    return skeleton[:place], skeleton[place:]


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(_LOCALES[language])


def preferred(accept_language: str, default: str) -> str:
    """The first language of a browser's list that we have."""
    wanted = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        wanted.append((-weight, place, tag.split("-")[0].lower()))
    return next((language for _, _, language in sorted(wanted) if language in LANGUAGES), default)
