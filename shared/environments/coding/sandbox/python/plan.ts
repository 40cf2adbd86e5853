/**
 * What tests need, in Python, found by reading them: definitions of the setup, stand-ins for the
 * program's functions, and calls with literal arguments that are certain to be made, which can be
 * made ahead all at once.
 */
export const PLAN = String.raw`
_PLAIN_CALLS = {
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list",
    "max", "min", "range", "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple",
    "type", "zip", "frozenset", "bytes", "complex",
}
_PLAIN_NODES = frozenset((
    ast.Module, ast.Assert, ast.Expr, ast.Assign, ast.Compare, ast.UnaryOp, ast.BoolOp, ast.BinOp,
    ast.Call, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Name, ast.keyword,
    ast.Subscript, ast.Slice, ast.JoinedStr, ast.FormattedValue, ast.Starred, ast.Pass,
    ast.Load, ast.Store, *ast.operator.__subclasses__(), *ast.unaryop.__subclasses__(),
    *ast.boolop.__subclasses__(), *ast.cmpop.__subclasses__(),
))
_BUILTINS = frozenset(dir(builtins)) | {"math"}


def _nodes(tree):
    """All nodes of a tree in the order of its text, however deep; much faster than ast.walk."""
    found = []
    open_nodes = [tree]
    while open_nodes:
        node = open_nodes.pop()
        found.append(node)
        parts = []
        # Fields in their order, before the numbers of its place.
        for part in node.__dict__.values():
            if type(part) is list:
                parts += [inner for inner in part if isinstance(inner, ast.AST)]
            elif isinstance(part, ast.AST):
                parts.append(part)
        open_nodes += parts[::-1]
    return found


_BINDING = frozenset((
    ast.Name, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.arg, ast.alias,
    ast.ExceptHandler,
))


def _binds(node):
    """Names that one node binds."""
    kind = type(node)
    if kind is ast.Name:
        return () if type(node.ctx) is ast.Load else (node.id,)
    if kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
        return (node.name,)
    if kind is ast.arg:
        return (node.arg,)
    if kind is ast.alias:
        return ((node.asname or node.name).split(".")[0],)
    if kind is ast.ExceptHandler and node.name:
        return (node.name,)
    return ()


def _names(trees, loaded):
    """Names that are read (loaded) or bound in some trees."""
    nodes = [node for tree in trees for node in _nodes(tree)]
    return _loaded(nodes) if loaded else _bound(nodes)


def _loaded(nodes):
    return {node.id for node in nodes if type(node) is ast.Name and type(node.ctx) is ast.Load}


def _bound(nodes):
    return {name for node in nodes if type(node) in _BINDING for name in _binds(node)}


def _calls_known(node, stand_ins):
    """Whether a node calls no function that could call one of the program's."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return False
    if type(node) is not ast.Call or type(node.func) is ast.Attribute:
        return True
    name = getattr(node.func, "id", None)
    return name in stand_ins or name in _PLAIN_CALLS


def _first_call(body, stand_ins):
    """The first call of the program's, if it is made whatever comes of the rest."""
    for node in body:
        if type(node) is ast.Assert:
            return _certain(node.test, stand_ins)
        if type(node) in (ast.Assign, ast.Expr):
            found = _certain(node.value, stand_ins)
            if found:
                return found
        elif not isinstance(node, (ast.Import, ast.ImportFrom)):
            return None
    return None


def _certain(node, stand_ins):
    """A call of the program's in the part of an expression that is computed in any case."""
    kind = type(node)
    if kind is ast.Call and getattr(node.func, "id", None) in stand_ins:
        return node
    parts = ()
    if kind is ast.Compare:
        parts = (node.left, node.comparators[0])
    elif kind is ast.BoolOp:
        parts = node.values[:1]
    elif kind is ast.IfExp:
        parts = (node.test,)
    elif kind in (ast.UnaryOp, ast.BinOp, ast.Call, ast.keyword, ast.Subscript, ast.Attribute,
                  ast.List, ast.Tuple, ast.Set):
        parts = ast.iter_child_nodes(node)
    return next(filter(None, (_certain(part, stand_ins) for part in parts)), None)


def _literal_call(node, stand_ins):
    """The packed arguments of a call that can be made ahead, or None."""
    if type(node) is not ast.Call or type(node.func) is not ast.Name:
        return None
    if node.func.id not in stand_ins:
        return None
    try:
        args = [_literal(arg) for arg in node.args]
        named = {part.arg: _literal(part.value) for part in node.keywords}
        return None if None in named else _pack([args, named])
    except Exception:
        return None


def _literal(node):
    return node.value if type(node) is ast.Constant else ast.literal_eval(node)


def _is_plain(node, stand_ins):
    """Whether a node only computes: no attributes, no definitions, no calls of anything else."""
    if type(node) not in _PLAIN_NODES:
        return False
    if type(node) is not ast.Call:
        return True
    name = getattr(node.func, "id", None)
    return name in stand_ins or name in _PLAIN_CALLS


class _Plan:
    """What tests need: names from the setup, stand-ins, and calls that can be made ahead."""

    def __init__(self, trees, setup, entry):
        nodes = [_nodes(tree) if tree else [] for tree in trees]
        every = [node for own in nodes for node in own]
        bound = _bound(every)
        needed = _loaded(every) - _BUILTINS - bound
        self.setup = _parse(setup)[0] if needed - {entry} else None
        top = self.setup.body if self.setup else []
        given = {name for node in top for name in _own_names(node)}
        self.stand_ins = (needed - given) | {entry}
        if not needed & given:
            self.setup = None
        self.ahead = []
        if not bound & self.stand_ins:
            self._look_ahead(trees, nodes)
        self.plain = self.setup is None and all(_is_plain(n, self.stand_ins) for n in every)
        asked = sum(type(n) is ast.Name and n.id in self.stand_ins for n in every)
        self.live = not self.plain or len(self.ahead) < asked

    def _look_ahead(self, trees, nodes):
        """Calls that are certain to be made, in order; none after a test that may make others."""
        for index, (tree, own) in enumerate(zip(trees, nodes)):
            if not all(_calls_known(node, self.stand_ins) for node in own):
                return
            asked = sum(type(node) is ast.Name and node.id in self.stand_ins for node in own)
            if asked == 0:
                continue
            node = _first_call(tree.body, self.stand_ins) if asked == 1 else None
            text = _literal_call(node, self.stand_ins) if node else None
            if text is None:
                return
            self.ahead.append([index, node.func.id, text])


def _own_names(node):
    """Names that a statement of a module defines there."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    return _names([node], loaded=False)
`;
