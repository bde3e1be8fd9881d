"""What driver and executors share."""

import re


def split(line):
    """The words of a line, in lower case."""
    return re.findall(r"[a-z]+", line.lower())
