"""Which torch the tests run against: taper, or real PyTorch with TAPER_TEST_TORCH=1 to prove the tests themselves.

main() runs a file's unittest cases and prints `ok NAME` / `not ok NAME: why` lines; the exit status is the number of failures.
"""
import os
import sys
import unittest

if os.environ.get("TAPER_TEST_PRELOAD"):
    __import__(os.environ["TAPER_TEST_PRELOAD"])
if os.environ.get("TAPER_TEST_TORCH"):
    import torch
else:
    import taper as torch

REAL = bool(os.environ.get("TAPER_TEST_TORCH"))


class _Lines(unittest.TestResult):
    def _name(self, test):
        return test.id().replace("__main__.", "")

    def addSuccess(self, test):
        print("ok", self._name(test), flush=True)

    def _bad(self, test, error):
        import traceback

        print("not ok %s: %s" % (self._name(test), str(error[1]).replace("\n", " | ")), flush=True)
        if os.environ.get("VERBOSE"):
            traceback.print_exception(*error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._bad(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self._bad(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._bad(subtest, error)

    def addSkip(self, test, reason):
        print("ok %s # skip %s" % (self._name(test), reason), flush=True)


def main():
    module = sys.modules["__main__"]
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    if len(sys.argv) > 1:
        suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:], module)
    result = _Lines()
    suite.run(result)
    bad = len(result.failures) + len(result.errors)
    if result.testsRun == 0:
        print("not ok %s: no tests were found" % module.__file__)
        bad = 1
    sys.exit(min(bad, 100))
