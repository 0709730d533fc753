"""Runs modules of CPython's test package and prints a line a test: @pass, @fail or @skip, its name, a reason."""

import os
import sys
import unittest

from test import support
from test.support import os_helper

# Where results go: away from what tests print themselves.
out = None
own = os.getpid()


def say(word, name, reason=""):
    if os.getpid() == own:
        reason = reason.strip().splitlines()[-1] if reason.strip() else ""
        print(word, name.replace(" ", "_"), reason[:300], file=out)


class Result(unittest.TestResult):
    def addSuccess(self, test):
        say("@pass", test.id())

    def addError(self, test, err):
        super().addError(test, err)
        say("@fail", test.id(), self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        say("@fail", test.id(), self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            say("@fail", test.id(), str(subtest) + ": " + repr(err[1]).replace("\n", " "))

    def addSkip(self, test, reason):
        say("@skip", test.id(), reason)

    def addExpectedFailure(self, test, err):
        say("@pass", test.id())

    def addUnexpectedSuccess(self, test):
        say("@fail", test.id(), "unexpected success")


def run(name):
    with os_helper.temp_cwd():
        try:
            suite = unittest.defaultTestLoader.loadTestsFromName("test." + name)
        except unittest.SkipTest as reason:
            say("@skip", name, str(reason))
            return
        suite.run(Result())
        support.reap_children()


# Processes that multiprocessing starts load this file, too.
if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    support.verbose = 0
    support.use_resources = []
    for name in sys.argv[1:]:
        run(name)
    print("@done", file=out)
