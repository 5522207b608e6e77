"""The version of this distribution; the build reads it from here."""

__version__ = "3.0.0"
