"""Templates of pages: what is put into one is escaped, and a name that nobody gave is an error. Extra `[pages]`."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str) -> Environment:
    """The templates in a package's `templates` folder, which do not change while the process runs."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
