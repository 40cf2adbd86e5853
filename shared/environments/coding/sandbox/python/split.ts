/**
 * The tests in a check function, in Python: found by reading it, so that each can be run and counted
 * on its own. A function whose statements mean something else outside of it is one test.
 */
export const SPLIT = String.raw`
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_INNER = (*_SCOPES, ast.ClassDef)
_UNSPLIT = (ast.Return, ast.Global, ast.Yield, ast.YieldFrom)


def _split(job):
    """Tests of a check function: its statements that check something about the candidate."""
    tree, error = _parse(job["test"])
    if tree is not None:
        try:
            compile(tree, "<test>", "exec")
        except SyntaxError as caught:
            error = _error(caught)
    if error:
        return _write({"tests": [], "error": error})
    checks = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "check"]
    entry = job["entry"]
    # Every statement is walked once.
    walk = functools.cache(_nodes)
    if not checks:
        return _write({"tests": _statements([], tree.body, entry, entry, walk), "error": None})
    context = _beside(tree.body)
    check = checks[-1]
    params = check.args.posonlyargs + check.args.args
    candidate = params[0].arg if params else entry
    if _is_splittable(check, candidate, entry, walk):
        tests = _statements(context, check.body, candidate, entry, walk)
    else:
        call = ast.parse("check(%s)" % (entry if params else "")).body
        tests = [ast.unparse(ast.Module([*context, check, *call], []))]
    _write({"tests": tests, "error": None})


def _beside(body):
    """Statements beside check, without those that call it: its tests are run one by one."""
    gone = {"check"}
    kept = []
    for node in body:
        if getattr(node, "name", None) == "check":
            continue
        if _names([node], loaded=True) & gone:
            gone |= set(_own_names(node))
        else:
            kept.append(node)
    return kept


def _is_splittable(check, candidate, entry, walk):
    """Whether the statements of a function mean the same in a module."""
    nodes = [node for part in check.body for node in walk(part)]
    if len(check.args.args) + len(check.args.posonlyargs) > 1:
        return False
    if any(isinstance(node, ast.Nonlocal) for node in nodes):
        return False
    inside = [node for part in check.body for node in _running(part, walk)]
    if any(isinstance(node, _UNSPLIT) for node in inside):
        return False
    return candidate == entry or entry not in _bound(nodes)


def _running(tree, walk):
    """Nodes that run with a statement: not the insides of the functions that it defines."""
    if not any(isinstance(node, _INNER) for node in walk(tree)):
        return walk(tree)
    found = []
    open_nodes = [tree]
    while open_nodes:
        node = open_nodes.pop()
        found.append(node)
        if not isinstance(node, _INNER):
            open_nodes += ast.iter_child_nodes(node)
    return found


def _checks(nodes, checkers):
    """Whether some nodes can fail by what they find: asserts, raises, calls of such functions."""
    for node in nodes:
        if isinstance(node, (ast.Assert, ast.Raise)):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            if name in checkers or name.startswith("assert") or name == "raises":
                return True
    return False


def _helpers(body, candidate, entry, walk):
    """Names of functions that check something, and of those that touch the candidate."""
    defined = []
    for node in [node for part in body for node in walk(part)]:
        if isinstance(node, _INNER) and not isinstance(node, ast.Lambda):
            defined.append(({node.name}, _nodes(node)))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            defined.append((_names(node.targets, loaded=False), _nodes(node.value)))
    checkers = set()
    touching = {candidate, entry}
    for _ in defined:
        before = len(checkers) + len(touching)
        for names, nodes in defined:
            if _checks(nodes, checkers):
                checkers |= names
            if any(type(n) is ast.Name and n.id in touching for n in nodes):
                touching |= names
        if before == len(checkers) + len(touching):
            break
    return checkers, touching


def _statements(context, body, candidate, entry, walk):
    """
    Statements that check the candidate, each with what stands before it. What defines something is
    never a test; what touches the candidate after the last test is one.
    """
    checkers, touched = _helpers([*context, *body], candidate, entry, walk)
    tests = []
    bound = set()
    held = list(context)
    pending = False
    for node in body:
        nodes = walk(node)
        if candidate != entry:
            _rename(node, candidate, entry, walk)
        if isinstance(node, _DEFINITIONS):
            held.append(node)
            continue
        read, made = _loaded(nodes), _bound(nodes)
        concerns = bool(read & (touched | {entry}))
        bound |= made
        if concerns:
            # What is given to the candidate, or takes what it returned, tells of it as well.
            touched |= made | read & bound
        if _checks(_running(node, walk), checkers):
            if not concerns:
                continue
            tests.append(ast.unparse(ast.Module([*held, node], [])))
            held, pending = [], False
        else:
            held.append(node)
            pending = pending or concerns and not _is_lambda(node)
    if pending:
        tests.append(ast.unparse(ast.Module(held, [])))
    return tests


def _is_lambda(node):
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)


def _rename(tree, old, new, walk):
    """Renames the candidate, but not where a function has a parameter of its own by that name."""
    nodes = walk(tree)
    if any(type(part) is ast.arg and part.arg == old for part in nodes):
        nodes = []
        open_nodes = [tree]
        while open_nodes:
            node = open_nodes.pop()
            nodes.append(node)
            own = isinstance(node, _SCOPES) and any(
                type(part) is ast.arg and part.arg == old for part in ast.walk(node.args)
            )
            if not own:
                open_nodes += ast.iter_child_nodes(node)
    for node in nodes:
        if type(node) is ast.Name and node.id == old:
            node.id = new
`;
