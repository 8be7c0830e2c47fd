"""What operations refuse: the errors that the API, pages and commands put into their own words.

Of the API ``product_importer.common.api.as_api_error`` makes its answers of them, in one place.
"""


class Invalid(Exception):
    """Values that something cannot have: ``errors`` maps a field to its code and a sentence."""

    def __init__(self, errors: dict[str, tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, (_, text) in errors.items()))
        self.errors = errors

    @property
    def sentences(self) -> dict[str, str]:
        """The sentence of each field, for people."""
        return {name: text for name, (_, text) in self.errors.items()}

    @property
    def sentence(self) -> str:
        """All of them in one line, where there is no field to put them to."""
        return " ".join(self.sentences.values())


class NotPossible(Exception):
    """The act does not fit to how things stand; the message says why and what to do."""
