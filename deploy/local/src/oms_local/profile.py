"""What a broker and a database are for: it decides how durable and how large they are."""

from enum import Enum


class Profile(Enum):
    """RUN keeps its data under the run folder between runs. TEST throws it away and trades safety for speed."""

    RUN = "run"
    TEST = "test"
