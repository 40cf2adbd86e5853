/**
 * The player, in Python: holds a program and answers calls of its functions.
 * It never sees a test, and what it answers is a value, never a verdict.
 */
export const PLAYER = String.raw`
_program = {}


def _load(job):
    _program.clear()
    _program.update(__name__="program", __builtins__=builtins, math=math)
    started = time.perf_counter()
    error = None
    syntax = False
    try:
        before = compile(job["before"], "<program>", "exec")
        code = compile(job["code"], "<program>", "exec")
    except BaseException as caught:
        syntax = True
        error = _error(caught)
    else:
        try:
            # In a namespace of its own: what the program defines anew is another thing for it.
            first = dict(_program)
            exec(before, first)
            _program.update(first)
            exec(code, _program)
        except BaseException as caught:
            error = _error(caught)
    late = time.perf_counter() - started >= job["limit"]
    _write({"error": error, "syntax": syntax, "late": late})


def _call(name, text, limit):
    """Outcome of one call: a value as text, an exception, or why neither."""
    args, named = _decode(json.loads(text))
    started = time.perf_counter()
    try:
        value = _program[name](*args, **named) if name in _program else _missing(name)
        out = {"v": _pack(value)}
        changeable = (list, dict, set, bytearray, collections.deque)
        # Objects of the tests' own classes go one way.
        if '{"O": ' not in text and any(type(arg) in changeable for arg in args):
            after = _pack([args, named])
            if after != text:
                out["after"] = after
    except _Unplain as caught:
        out = {"o": str(caught)[:200]}
    except KeyboardInterrupt:
        out = {"late": True}
    except BaseException as caught:
        known = [kind.__name__ for kind in type(caught).__mro__]
        out = {"x": known[:20], "error": _error(caught)}
    if time.perf_counter() - started >= limit:
        out = {"late": True}
    return out


def _missing(name):
    raise NameError("name %r is not defined" % name)


def _calls(job):
    """Outcomes of calls, one line each; a call that comes too late ends its test."""
    lates = set()
    lines = _Lines()
    for test, name, text in job["calls"]:
        if test in lates or len(lates) >= job["most_late"]:
            out = {"late": True}
        else:
            out = _call(name, text, job["limit"])
            if "late" in out:
                lates.add(test)
        lines.add(out)
    lines.flush()
`;
