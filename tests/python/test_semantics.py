"""The programs of semantics_cases.py end as in PyTorch 2.6 (tests/golden/semantics.txt): values and texts alike; of an error the class
and the beginning of PyTorch's words (ours may go on with shapes)."""
import os
import unittest
import warnings

from which import main

import semantics_cases

warnings.simplefilter("ignore")
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "semantics.txt")


class Semantics(unittest.TestCase):
    def test_all_are_compared(self):
        with open(GOLDEN) as f:
            self.assertEqual([line.split(" = ")[0] for line in f], [f.__name__ for f in semantics_cases.CASES])


def _add(f, wanted):
    def test(self):
        got = semantics_cases.outcome(f).replace("\\", "\\\\").replace("\n", "\\n")
        kind, colon, words = wanted.partition(": ")
        if colon and kind.endswith("Error") and kind.isalnum():
            self.assertEqual(got.partition(": ")[0], kind, got)
            self.assertIn(words.rstrip(".")[:60], got)
        else:
            self.assertEqual(got, wanted)

    setattr(Semantics, "test_" + f.__name__, test)


with open(GOLDEN) as _lines:
    _golden = dict(line.rstrip("\n").split(" = ", 1) for line in _lines)
for _f in semantics_cases.CASES:
    _add(_f, _golden.get(_f.__name__, "no line in the golden file"))

if __name__ == "__main__":
    main()
