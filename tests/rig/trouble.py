"""What the rig tells a person instead of a traceback."""


class Trouble(Exception):
    """A sentence: what was being done, what is wrong, what to do."""
