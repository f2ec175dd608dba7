"""Marks for external profilers."""


def start():
    pass


def stop():
    pass


class profile:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False
