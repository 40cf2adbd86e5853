/**
 * Questions about source text, in Python: it is read, never run.
 * Leaves out tests (split.ts) and what the answers are used for.
 */
export const QUESTIONS = String.raw`
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
        read = _names([tree], loaded=True)
        for node in _nodes(tree):
            if isinstance(node, ast.Expr) and calls(node):
                notes.append([node.lineno, "standalone call (not assigned)"])
            elif isinstance(node, ast.Assign) and calls(node.value):
                names = _names(node.targets, loaded=False)
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
`;
