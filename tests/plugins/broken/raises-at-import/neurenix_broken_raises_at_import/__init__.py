"""A plugin whose import raises an error."""

raise RuntimeError("the licence of raises-at-import has run out")
