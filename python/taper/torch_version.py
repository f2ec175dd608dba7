"""A version string that compares as versions do: TorchVersion("2.10.0+x") > "2.9"."""

__all__ = ["TorchVersion"]


def _release(text):
    """"2.7.0a0+git" -> ((2, 7), -1): release without trailing zeros, then -1 for a pre-release, 0, or 1 for a local label."""
    text, _, local = str(text).strip().lstrip("v").partition("+")
    numbers, pre = [], False
    for part in text.split("."):
        digits = ""
        for c in part:
            if not c.isdigit():
                break
            digits += c
        if digits:
            numbers.append(int(digits))
        if digits != part:
            pre = not part.startswith("post")
            break
    if not numbers:
        raise ValueError("not a version: %r" % text)
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), -1 if pre else (1 if local else 0)


class TorchVersion(str):
    """str with the order of version numbers; compares with strings and with tuples of numbers."""

    def _both(self, other):
        if isinstance(other, (tuple, list)):
            other = ".".join(map(str, other))
        return _release(self), _release(other)

    def __gt__(self, other):
        a, b = self._both(other)
        return a > b

    def __lt__(self, other):
        a, b = self._both(other)
        return a < b

    def __ge__(self, other):
        a, b = self._both(other)
        return a >= b

    def __le__(self, other):
        a, b = self._both(other)
        return a <= b

    def __eq__(self, other):
        try:
            a, b = self._both(other)
        except ValueError:
            return str.__eq__(self, other)
        return a == b

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__
