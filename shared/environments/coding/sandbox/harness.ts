/**
 * The Python side of a sandbox process: it answers one JSON line with others. The same text runs in
 * both processes of a lane. The player holds the program and answers calls with plain values; the
 * judge holds the tests, where the program's functions are stand-ins that ask the player, so that
 * no test, expected answer or verdict is ever in the process in which the program runs.
 * Leaves out limits: the clock and the memory are kept outside Python.
 */
export const HARNESS = String.raw`
import ast, bisect, builtins, collections, copy, dataclasses, datetime, decimal, enum, fractions
import functools, hashlib, heapq, itertools, json, math, operator, os, random, re, statistics
import string, sys, time, typing

_CHANNEL = 200


def _read():
    parts = []
    while not parts or parts[-1][-1:] != b"\n":
        parts.append(os.read(_CHANNEL, 65536))
    return json.loads(b"".join(parts))


def _write(answer):
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(_CHANNEL, data):]


def _serve():
    while True:
        job = _read()
        _OPERATIONS[job["op"]](job)


def _error(error):
    """Name, message and line of an exception; hostile ones have their say cut short."""
    try:
        message = str(error)[:500]
    except BaseException:
        message = ""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    return {"type": type(error).__name__[:100], "message": message, "line": line}


# ---- values across the border: plain data only, whatever their methods claim ----

class _Unplain(Exception):
    """A value that cannot cross."""


_MOST_PARTS = 200_000


def _encode(value, room):
    room[0] -= 1
    if room[0] < 0:
        raise _Unplain("a value of too many parts")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, int):
        value = int.__index__(value)
        return value if -2**53 < value < 2**53 else {"i": hex(value)}
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, str):
        room[0] -= str.__len__(value) >> 4
        return str.__str__(value)
    if issubclass(kind, list):
        return [_encode(part, room) for part in list.__iter__(value)]
    if issubclass(kind, tuple):
        return {"t": [_encode(part, room) for part in tuple.__iter__(value)]}
    if issubclass(kind, dict):
        pairs = list(dict.items(value))
        return {"d": [[_encode(key, room), _encode(part, room)] for key, part in pairs]}
    if issubclass(kind, set):
        return {"s": [_encode(part, room) for part in set.__iter__(value)]}
    if issubclass(kind, frozenset):
        return {"z": [_encode(part, room) for part in frozenset.__iter__(value)]}
    if issubclass(kind, (bytes, bytearray)):
        room[0] -= len(value) >> 4
        return {"b" if issubclass(kind, bytes) else "a": bytes(value).hex()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if kind is range:
        return {"r": [_encode(n, room) for n in (value.start, value.stop, value.step)]}
    if kind is decimal.Decimal:
        return {"D": str(value)}
    if kind is fractions.Fraction:
        return {"F": [_encode(value.numerator, room), _encode(value.denominator, room)]}
    if kind is collections.deque:
        return {"q": [_encode(part, room) for part in value]}
    if hasattr(kind, "__next__"):
        return {"n": [_encode(part, room) for part in value]}
    raise _Unplain("a value of type " + kind.__name__[:100])


_DECODERS = {
    "i": lambda data: int(data, 16),
    "t": lambda data: tuple(_decode(part) for part in data),
    "d": lambda data: {_decode(key): _decode(part) for key, part in data},
    "s": lambda data: {_decode(part) for part in data},
    "z": lambda data: frozenset(_decode(part) for part in data),
    "b": lambda data: bytes.fromhex(data),
    "a": lambda data: bytearray.fromhex(data),
    "c": lambda data: complex(*data),
    "r": lambda data: range(*map(_decode, data)),
    "D": lambda data: decimal.Decimal(data),
    "F": lambda data: fractions.Fraction(*map(_decode, data)),
    "q": lambda data: collections.deque(_decode(part) for part in data),
    "n": lambda data: iter([_decode(part) for part in data]),
}


def _decode(data):
    kind = type(data)
    if kind is list:
        return [_decode(part) for part in data]
    if kind is dict:
        [[tag, inner]] = data.items()
        return _DECODERS[tag](inner)
    return data


def _pack(value):
    try:
        return json.dumps(_encode(value, [_MOST_PARTS]))
    except RecursionError:
        raise _Unplain("a value nested too deeply") from None


# ---- player ----

_program = {}


def _load(job):
    _program.clear()
    _program.update(__name__="program", __builtins__=builtins, math=math)
    started = time.perf_counter()
    error = None
    syntax = False
    try:
        code = compile(job["code"], "<program>", "exec")
    except BaseException as caught:
        syntax = True
        error = _error(caught)
    else:
        try:
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
        if any(type(arg) in (list, dict, set, bytearray, collections.deque) for arg in args):
            after = _pack([args, named])
            if after != text:
                out["after"] = after
    except _Unplain as caught:
        out = {"o": str(caught)[:200]}
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
    for test, name, text in job["calls"]:
        if test in lates or len(lates) >= job["most_late"]:
            out = {"late": True}
        else:
            out = _call(name, text, job["limit"])
            if "late" in out:
                lates.add(test)
        _write(out)


# ---- judge ----

class _Late(BaseException):
    """A call took too long."""


_PLAIN_CALLS = {
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list",
    "max", "min", "range", "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple",
    "type", "zip", "frozenset", "bytes", "complex",
}
_PLAIN_NODES = (
    ast.Module, ast.Assert, ast.Expr, ast.Assign, ast.Compare, ast.UnaryOp, ast.BoolOp, ast.BinOp,
    ast.Call, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Name, ast.keyword,
    ast.Subscript, ast.Slice, ast.JoinedStr, ast.FormattedValue, ast.Starred, ast.Pass,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)


def _names(trees, context):
    return {
        node.id for tree in trees for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def _bound(tree):
    """Names that a module's own statements define."""
    found = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        else:
            found |= _names([node], ast.Store)
    return found


def _literal_call(node, stand_ins):
    """The packed arguments of a call that can be made ahead, or None."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    if node.func.id not in stand_ins:
        return None
    try:
        args = [ast.literal_eval(arg) for arg in node.args]
        named = {part.arg: ast.literal_eval(part.value) for part in node.keywords}
        return None if None in named else _pack([args, named])
    except Exception:
        return None


def _is_plain(tree, stand_ins):
    for node in ast.walk(tree):
        if not isinstance(node, _PLAIN_NODES):
            return False
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None)
            if name not in stand_ins and name not in _PLAIN_CALLS:
                return False
    return True


def _defined_anywhere(trees):
    """Names that tests bind themselves, at any depth."""
    found = _names(trees, (ast.Store, ast.Del))
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.alias):
                found.add((node.asname or node.name).split(".")[0])
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
    return found


def _parse(text):
    try:
        return ast.parse(text), None
    except BaseException as caught:
        return None, _error(caught)


def _judge(job):
    """
    Writes the calls that can be made ahead, reads their outcomes, runs the tests (asking for other
    calls on the way) and writes a line for each.
    """
    parsed = [_parse(text) for text in job["tests"]]
    trees = [tree for tree, _ in parsed if tree]
    needed = _names(trees, ast.Load) - set(dir(builtins)) - {"math"}
    setup, _ = _parse(job["setup"])
    given = _bound(setup) & needed - {job["entry"]} if setup else set()
    stand_ins = (needed - given - _defined_anywhere(trees)) | {job["entry"]}
    ahead = []
    plain = not given
    live = False
    for index, tree in enumerate(tree for tree, _ in parsed):
        if tree is None:
            continue
        plain = plain and _is_plain(tree, stand_ins)
        made = 0
        for node in ast.walk(tree):
            text = _literal_call(node, stand_ins)
            if text is not None:
                made += 1
                ahead.append([index, node.func.id, text])
        asked = sum(isinstance(n, ast.Name) and n.id in stand_ins for n in ast.walk(tree))
        live = live or not _is_plain(tree, stand_ins) or made < asked
    _write({"ahead": ahead, "plain": plain, "live": live})
    known = {}
    for (_, name, text), outcome in zip(ahead, _read()["outcomes"]):
        known.setdefault((name, text), collections.deque()).append(outcome)
    space = {"__name__": "tests", "__builtins__": builtins, "math": math}
    if given:
        try:
            exec(compile(setup, "<setup>", "exec"), space)
        except BaseException:
            pass  # a test that needs what is missing says so
    for name in stand_ins:
        space[name] = _stand_in(name, known)
    late = 0
    for tree, error in parsed:
        if late >= job["most_late"]:
            _write({"ok": False, "late": False, "error": {"type": "Skipped", "message": ""}})
            continue
        is_late = False
        if tree is not None:
            error = None
            try:
                exec(compile(tree, "<test>", "exec"), space)
            except (_Late, KeyboardInterrupt):
                is_late = True
                late += 1
                error = {"type": "TimeoutError", "message": ""}
            except BaseException as caught:
                error = _error(caught)
        _write({"ok": error is None, "late": is_late, "error": error})


def _stand_in(name, known):
    def stand_in(*args, **named):
        text = _pack([list(args), named])
        queue = known.get((name, text))
        if queue:
            outcome = queue.popleft()
        else:
            _write({"call": [0, name, text]})
            outcome = _read()["outcome"]
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


# ---- questions about source text; nothing of it is run ----

def _split(job):
    """Tests of a check function: its statements that assert something about the candidate."""
    tree, error = _parse(job["test"])
    if tree is None:
        return _write({"tests": [], "error": error})
    checks = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "check"]
    context = [n for n in tree.body if n not in checks]
    candidate = job["entry"]
    body = []
    if checks:
        params = checks[-1].args.posonlyargs + checks[-1].args.args
        candidate = params[0].arg if params else candidate
        body = checks[-1].body
    else:
        context, body = [], tree.body
    tests = []
    touched = {candidate}
    for node in body:
        concerns = _names([node], ast.Load) & touched
        if concerns:
            touched |= _names([node], ast.Store)
        if not any(isinstance(part, ast.Assert) for part in ast.walk(node)):
            context.append(node)
        elif concerns:
            whole = ast.Module([*context, node], [])
            for part in ast.walk(whole):
                if isinstance(part, ast.Name) and part.id == candidate:
                    part.id = job["entry"]
            tests.append(ast.unparse(whole))
            context = []
    _write({"tests": tests, "error": None})


def _notes(job):
    """How a main function treats results of its helper: those that it throws away."""
    tree, error = _parse(job["code"])
    if tree is None:
        return _write({"notes": []})
    helper = job["helper"]

    def calls(node):
        return any(
            isinstance(part, ast.Call) and getattr(part.func, "id", None) == helper
            for part in ast.walk(node)
        )

    notes = []
    if job["reference"]:
        _reference_notes(tree, helper, calls, notes)
    else:
        read = _names([tree], ast.Load)
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and calls(node):
                notes.append([node.lineno, "standalone call (not assigned)"])
            elif isinstance(node, ast.Assign) and calls(node.value):
                names = _names(node.targets, ast.Store)
                if names and not names & read:
                    notes.append([node.lineno, "assigned to %s but never used" % sorted(names)[0]])
    _write({"notes": ["Line %d: %s" % (line, text) for line, text in sorted(notes)]})


def _reference_notes(tree, helper, calls, notes):
    """As published: later uses of a variable are not seen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and calls(node):
            notes.append([node.lineno, "standalone call (not assigned)"])
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and calls(node):
            if isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                notes.append([node.lineno, "assigned to %s but never used" % name])


def _syntax(job):
    """Whether a text is a module of Python."""
    try:
        ast.parse(job["code"])
        error = None
    except BaseException as caught:
        error = _error(caught)
    _write({"error": error})


_OPERATIONS = {
    "load": _load, "calls": _calls, "judge": _judge,
    "split": _split, "notes": _notes, "syntax": _syntax,
}
`;
