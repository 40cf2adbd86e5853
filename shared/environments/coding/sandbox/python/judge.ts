/**
 * The judge, in Python: runs the tests on stand-ins that ask the player, and alone decides.
 * Leaves out which calls are made ahead (plan.ts).
 */
export const JUDGE = String.raw`
class _Late(BaseException):
    """A call took too long."""


class _Clock:
    """
    What a test took too long for: a call, or its own computing since it last heard of one. A test
    may catch what ends it, as a bare except does; it has failed all the same.
    """

    def __init__(self, limit):
        self.limit = limit - 2 * _HOLD_S
        self.start()

    def start(self):
        self.late = False
        self.since = time.perf_counter()

    def is_late(self):
        self.late = self.late or time.perf_counter() - self.since >= self.limit
        return self.late


# Raised in a test, these would quietly end a loop of its own.
_ENDINGS = ("StopIteration", "StopAsyncIteration", "GeneratorExit")


def _judge(job):
    """
    Writes the calls that can be made ahead, reads their outcomes, runs the tests (asking for other
    calls on the way) and writes a line for each.
    """
    parsed = [_parse(text) for text in job["tests"]]
    plan = _Plan([tree for tree, _ in parsed], job["setup"], job["entry"])
    _write({"ahead": plan.ahead, "plain": plan.plain, "live": plan.live})
    outcomes = {call[0]: out for call, out in zip(plan.ahead, _read()["outcomes"])}
    space = {"__name__": "tests", "__builtins__": builtins, "math": math}
    if plan.setup:
        try:
            exec(compile(plan.setup, "<setup>", "exec"), space)
        except BaseException:
            pass  # a test that needs what is missing says so
    lines = _Lines()
    known = []
    clock = _Clock(job["limit"])
    for name in plan.stand_ins:
        space[name] = _stand_in(name, known, lines, clock)
    late = 0
    for index, (tree, error) in enumerate(parsed):
        # A test has at most one call that is made ahead, and no other test may have its outcome.
        known[:] = [outcomes[index]] if index in outcomes else []
        if late >= job["most_late"]:
            lines.add({"ok": False, "late": False, "error": {"type": "Skipped", "message": ""}})
            continue
        is_late = False
        if tree is not None:
            error = None
            clock.start()
            try:
                exec(compile(tree, "<test>", "exec"), space)
            except (_Late, KeyboardInterrupt):
                is_late = True
            except BaseException as caught:
                error = _error(caught)
            if is_late or clock.is_late():
                is_late = True
                late += 1
                error = {"type": "TimeoutError", "message": ""}
        lines.add({"ok": error is None, "late": is_late, "error": error})
    lines.flush()


def _stand_in(name, known, lines, clock):
    def stand_in(*args, **named):
        if clock.is_late():
            raise _Late()
        if known:
            outcome = known.pop()
        else:
            text = _pack([list(args), named])
            lines.held.append({"call": [0, name, text]})
            lines.flush()
            outcome = _read()["outcome"]
        clock.since = time.perf_counter()
        clock.late = "late" in outcome
        return _open(outcome, args)
    return stand_in


def _open(outcome, args):
    if "late" in outcome:
        raise _Late()
    if "o" in outcome:
        raise TypeError("the program returned " + outcome["o"])
    if "x" in outcome:
        message = outcome["error"]["message"]
        for name in outcome["x"]:
            if name in _ENDINGS:
                break
            kind = getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                raise _built(kind, message)
        raise RuntimeError(outcome["error"]["type"] + ": " + message)
    if "after" in outcome:
        for arg, changed in zip(args, _decode(json.loads(outcome["after"]))[0]):
            _change(arg, changed)
    return _decode(json.loads(outcome["v"]))


def _built(kind, message):
    try:
        return kind(message)
    except Exception:
        return RuntimeError(kind.__name__ + ": " + message)


def _change(arg, changed):
    """What the program did to an argument, done to the test's own."""
    if isinstance(arg, (list, bytearray)):
        arg[:] = changed
    elif isinstance(arg, (dict, set)):
        arg.clear()
        arg.update(changed)
    elif isinstance(arg, collections.deque):
        arg.clear()
        arg.extend(changed)
`;
