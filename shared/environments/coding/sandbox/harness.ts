/**
 * The Python side of a sandbox process: it answers one JSON line with others. The same text runs in
 * both processes of a lane. The player holds the program and answers calls with plain values; the
 * judge holds the tests, where the program's functions are stand-ins that ask the player, so that
 * no test, expected answer or verdict is ever in the process in which the program runs.
 * Leaves out limits: the clock and the memory are kept outside Python.
 */
import { JUDGE } from "./python/judge.ts";
import { LIBRARY } from "./python/library.ts";
import { PLAN } from "./python/plan.ts";
import { PLAYER } from "./python/player.ts";
import { QUESTIONS } from "./python/questions.ts";
import { SPLIT } from "./python/split.ts";
import { VALUES } from "./python/values.ts";

const CORE = String.raw`
import ast, bisect, builtins, collections, copy, dataclasses, datetime, decimal, enum, fractions
import functools, hashlib, heapq, itertools, json, math, operator, os, random, re, statistics
import string, sys, time, types, typing

_CHANNEL = 200
_HOLD_S = 0.02


def _read():
    parts = []
    while not parts or parts[-1][-1:] != b"\n":
        parts.append(os.read(_CHANNEL, 65536))
    return json.loads(b"".join(parts))


def _write(*answers):
    data = "".join([json.dumps(answer) + "\n" for answer in answers]).encode()
    while data:
        data = data[os.write(_CHANNEL, data):]


class _Lines:
    """
    Answers that are sent together while they come fast. Every message starts the time limit anew,
    so none is held for longer than a time limit can be off.
    """

    def __init__(self):
        self.held = []
        self.sent = time.perf_counter()

    def add(self, answer):
        self.held.append(answer)
        if time.perf_counter() - self.sent > _HOLD_S:
            self.flush()

    def flush(self):
        _write(*self.held)
        self.held.clear()
        self.sent = time.perf_counter()


def _serve():
    while True:
        job = _read()
        _OPERATIONS[job["op"]](job)
        if job["op"] not in ("load", "calls"):
            # Only now all that the job made is gone: freeing a deep tree may be the end.
            _write({"done": job["op"]})


def _error(error):
    """Name, message and line of an exception; hostile ones have their say cut short."""
    try:
        message = str(error)[:500]
    except BaseException:
        message = ""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    return {"type": type(error).__name__[:100], "message": message, "line": line}


def _parse(text):
    try:
        return ast.parse(text), None
    except BaseException as caught:
        return None, _error(caught)
`;

const OPERATIONS = String.raw`
_OPERATIONS = {
    "load": _load, "calls": _calls, "judge": _judge,
    "split": _split, "notes": _notes, "syntax": _syntax,
}
`;

const PARTS = [CORE, LIBRARY, VALUES, PLAYER, PLAN, JUDGE, QUESTIONS, SPLIT, OPERATIONS];

/** Source of the Python side; it defines `_serve()`. */
export const HARNESS = PARTS.join("\n");
