"""Countries as the books name them, and made-up towns to ship to: synthetic, only the names of places are real."""

from dataclasses import dataclass

from oms_sample.book import BookError


@dataclass(frozen=True, slots=True)
class Town:
    """Where a parcel may go. A `9` of `postcode` stands for any digit."""

    city: str
    region: str
    postcode: str


COUNTRY_CODES = {
    "Australia": "AU",
    "Austria": "AT",
    "Bahrain": "BH",
    "Belgium": "BE",
    "Brazil": "BR",
    "Canada": "CA",
    "Channel Islands": "JE",
    "Cyprus": "CY",
    "Czech Republic": "CZ",
    "Denmark": "DK",
    "EIRE": "IE",
    "European Community": "BE",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hong Kong": "HK",
    "Iceland": "IS",
    "Israel": "IL",
    "Italy": "IT",
    "Japan": "JP",
    "Lebanon": "LB",
    "Lithuania": "LT",
    "Malta": "MT",
    "Netherlands": "NL",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "RSA": "ZA",
    "Saudi Arabia": "SA",
    "Singapore": "SG",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "USA": "US",
    "United Arab Emirates": "AE",
    "United Kingdom": "GB",
    "Unspecified": "GB",
}
"""ISO 3166 codes of the names in the data. "European Community" is taken as Belgium, "Unspecified" as Britain."""

_TOWNS = {
    "GB": (
        Town("London", "England", "SE9 9AB"),
        Town("Manchester", "England", "M9 9CD"),
        Town("Birmingham", "England", "B9 9EF"),
        Town("Leeds", "England", "LS9 9GH"),
        Town("Glasgow", "Scotland", "G9 9JK"),
        Town("Cardiff", "Wales", "CF9 9LM"),
        Town("Belfast", "Northern Ireland", "BT9 9NP"),
    ),
    "DE": (
        Town("Hamburg", "Hamburg", "20999"),
        Town("Berlin", "Berlin", "10999"),
        Town("Munich", "Bavaria", "80999"),
    ),
    "FR": (
        Town("Lyon", "Auvergne-Rhone-Alpes", "69009"),
        Town("Paris", "Ile-de-France", "75019"),
        Town("Lille", "Hauts-de-France", "59999"),
    ),
    "IE": (Town("Dublin", "Leinster", "D99 X999"), Town("Cork", "Munster", "T99 Y999")),
    "ES": (Town("Madrid", "Madrid", "28099"), Town("Valencia", "Valencia", "46099")),
    "NL": (Town("Utrecht", "Utrecht", "3599 AB"), Town("Rotterdam", "South Holland", "3099 CD")),
    "BE": (Town("Ghent", "East Flanders", "9099"), Town("Brussels", "Brussels", "1099")),
}
_ANYWHERE = (Town("Capital", "", "99999"),)


def country_code(name: str) -> str:
    """ISO 3166 code of a country as the book names it. Raises BookError for one we do not know."""
    if name in COUNTRY_CODES:
        return COUNTRY_CODES[name]
    if len(name) == 2 and name.isascii() and name.isalpha() and name.isupper():
        return name
    raise BookError(f"column Country: {name!r} is not known; two-letter ISO 3166 codes are taken as well")


def towns(code: str) -> tuple[Town, ...]:
    """Some towns of a country."""
    return _TOWNS.get(code, _ANYWHERE)


def shop_of(country: str) -> str:
    """The shop that sells to a country: "United Kingdom" is the shop "united-kingdom"."""
    slug = "-".join("".join(char if char.isascii() and char.isalnum() else " " for char in country.lower()).split())
    if not slug:
        raise BookError(f"column Country: {country!r} gives no shop name: it has no letter or digit of ASCII")
    return slug
