"""Prints one line a check and counts what failed."""

import traceback

# Of a traceback: the client libraries' own are long.
LINES_MAX = 25

class Checks:
    """`with checks("what should hold"): assert ...`"""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, what):
        return _Check(self, what)


class _Check:
    def __init__(self, checks, what):
        self.checks, self.what = checks, what

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            self.checks.passed += 1
            print(f"ok      {self.what}", flush=True)
            return True
        if not isinstance(error, Exception):
            return False
        self.checks.failed += 1
        print(f"FAILED  {self.what}", flush=True)
        for line in "".join(traceback.format_exception(error)).rstrip().splitlines()[-LINES_MAX:]:
            print(f"        {line}", flush=True)
        return True
