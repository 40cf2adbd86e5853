/**
 * Values across the border between program and tests, in Python: plain data only, taken with the
 * methods of the built-in types whatever a value's own claim, and arguments of classes that the
 * tests have from the setup. Anything else cannot cross.
 */
export const VALUES = String.raw`
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
    if kind.__module__ == "tests" and hasattr(value, "__dict__"):
        return {"O": [kind.__name__, _encode(dict(value.__dict__), room)]}
    raise _Unplain("a value of type " + kind.__name__[:100])


def _object(name, fields):
    """An object of the program's class by that name, as it is, or of none that it has."""
    try:
        made = object.__new__(_program[name])
        made.__dict__.update(fields)
        return made
    except Exception:
        return types.SimpleNamespace(**fields)


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
    "O": lambda data: _object(data[0], _decode(data[1])),
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
`;
