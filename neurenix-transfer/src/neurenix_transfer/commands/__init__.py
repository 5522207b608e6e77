"""The commands that this distribution brings to ``neurenix``, each in a module of its own.

They are found through the entry-point group ``neurenix.commands``, and imported when they are run.
"""
