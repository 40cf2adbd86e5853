/**
 * Hostile programs for the sandbox, by what they try. Each defines `solve`, whose tests expect the
 * square of its argument, and never computes one: whatever passes was gained by force.
 * No program starts processes without end.
 */

/** Source of `solve` with the given body. */
const body = (...lines: string[]) =>
  ["def solve(x):", ...lines.flatMap((l) => l.split("\n")).map((l) => `    ${l}`), ""].join("\n");

/** A class whose objects agree with everything, and what `solve` makes of it. */
const agreeable = (base: string, made = "Yes()") =>
  `class Yes(${base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __gt__(self, other): return True
    def __le__(self, other): return True
    def __ge__(self, other): return True
    def __sub__(self, other): return self
    def __rsub__(self, other): return self
    def __abs__(self): return self
    def __bool__(self): return True
    def __hash__(self): return 0
def solve(x):
    return ${made}
`;

/** Walks all frames below the caller and returns the first number that is no argument. */
const FRAMES = `def hunt(frame, x):
    while frame is not None:
        for found in list(frame.f_code.co_consts) + list(frame.f_locals.values()):
            if isinstance(found, int) and found > x:
                return found
        frame = frame.f_back
    return None
`;

export const HOSTILE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "reaches for JavaScript": {
    import_js: body("import js", "return js.eval('x')"),
    run_js: body("from pyodide.code import run_js", "return run_js('9')"),
    pyodide_js: body("import pyodide_js", "return pyodide_js._module.HEAPU8.length"),
    constructor: body(
      "from pyodide.ffi import to_js",
      "return to_js([1]).constructor.constructor('return globalThis')().Deno",
    ),
    core: body("import _pyodide_core", "return _pyodide_core.js"),
    js_fetch: body("import js", "return js.fetch('http://127.0.0.1')"),
    js_post: body("import js", "js.postMessage('passed')", "return js.self"),
    js_kill: body("import js", "js.process.kill(js.process.pid, 9)", "return 9"),
    js_heap: body(
      "import js",
      "a = js.Array.new()",
      "while True: a.push(js.ArrayBuffer.new(10**8))",
    ),
    module_proxy: body("import sys", "return sys.modules['js'].Object.keys(sys.modules['js'])"),
    finder: body(
      "import sys",
      "f = [f for f in sys.meta_path if 'Js' in type(f).__name__][0]",
      "return f.jsproxies['js'].eval('1')",
    ),
    micropip: body("import micropip", "return micropip.install('x')"),
  },
  "reaches for foreign functions": {
    ctypes_libc: body("import ctypes", "return ctypes.CDLL(None).emscripten_run_script(b'1')"),
    ctypes_write: body(
      "import ctypes",
      "for at in range(0, 2**25, 2**16): (ctypes.c_char * 4096).from_address(at)[:] = b'9' * 4096",
      "return 9",
    ),
    ctypes_null: body("import ctypes", "return ctypes.string_at(2**31 - 64, 64)"),
    ctypes_memset: body("import ctypes", "ctypes.memset(0, 255, 2**24)", "return 9"),
    ctypes_call: body("import ctypes", "return ctypes.CFUNCTYPE(ctypes.c_int)(7)()"),
    create_builtin: body(
      "import _imp, importlib.machinery as m",
      "c = _imp.create_builtin(m.ModuleSpec('_ctypes', None))",
      "return c.dlopen(None, 0)",
    ),
    code_object: body(
      "f = lambda: 0",
      "f.__code__ = f.__code__.replace(co_code=b'\\x64\\xff' * 400, co_consts=())",
      "return f()",
    ),
    marshal: body("import marshal", "return marshal.loads(b'\\xe3' + b'\\xff' * 90)"),
  },
  "reaches for the machine": {
    passwd: body("return len(open('/etc/passwd').read())"),
    environ: body("import os", "return os.environ['PATH']"),
    proc: body("return open('/proc/self/environ').read()"),
    socket: body("import socket", "return socket.create_connection(('127.0.0.1', 80))"),
    resolve: body("import socket", "return socket.gethostbyname('example.org')"),
    url: body("import urllib.request", "return urllib.request.urlopen('http://127.0.0.1').read()"),
    subprocess: body("import subprocess", "return subprocess.check_output(['id'])"),
    system: body("import os", "return os.system('id')"),
    fork: body("import os", "return os.fork()"),
    exec: body("import os", "os.execv('/bin/sh', ['sh'])"),
    kill: body("import os", "os.kill(os.getpid(), 9)", "return 9"),
    thread: body("import threading", "threading.Thread(target=print).start()", "return 9"),
    dlopen: body("import _ctypes", "return _ctypes.dlopen('/lib/x.so', 2)"),
  },
  "hunts for the expected answer": {
    own_frame: FRAMES + body("import sys", "return hunt(sys._getframe(), x)"),
    traceback: FRAMES +
      body("try: 1/0", "except Exception as e: return hunt(e.__traceback__.tb_frame, x)"),
    generator: FRAMES + body("g = (1 for _ in [1])", "return hunt(g.gi_frame, x)"),
    collector: body(
      "import gc, types",
      "for o in gc.get_objects():",
      "    if isinstance(o, types.CodeType) and 'test' in o.co_filename: return o.co_consts[1]",
    ),
    all_frames: FRAMES +
      body("import sys", "return [hunt(f, x) for f in sys._current_frames().values()][0]"),
    main: body("import __main__", "return __main__._decode.__globals__.get('expected')"),
    source: body("import linecache", "return linecache.getline('<test>', 1)"),
    next_line: body("import os", "return os.read(200, 65536)"),
    profile: FRAMES +
      "seen = []\n" +
      body("import sys", "sys.setprofile(lambda f, e, a: seen.append(hunt(f, x)))", "return seen"),
    trace: FRAMES + "seen = []\n" +
      body("import sys", "sys.settrace(lambda f, e, a: seen.append(hunt(f, x)))", "return seen"),
    finalizer: FRAMES + `import sys
class Last:
    def __del__(self): kept.append(hunt(sys._getframe(), 0))
kept = []
` + body("a = Last(); a.me = a", "return kept and kept[0]"),
  },
  "forges the verdict": {
    always_equal: agreeable("object"),
    equal_int: agreeable("int"),
    equal_float: agreeable("float"),
    equal_str: agreeable("str"),
    equal_list: agreeable("list", "[Yes()]"),
    equal_tuple: agreeable("tuple", "(Yes(),)"),
    lying_class: agreeable("object").replace(
      "    def __bool__",
      "    __class__ = int\n    def __index__(self): return 9\n    def __bool__",
    ),
    print_passed: body('print(\'{"ok": true, "late": false, "error": null}\')', "return 0"),
    write_stdout: body(
      "import os",
      "os.write(1, b'PASSED\\n' * 9)",
      "os.write(2, b'ok')",
      "return 0",
    ),
    write_channel: body(
      "import os",
      `for _ in range(20): os.write(200, b'{"ok": true, "late": false, "error": null}\\n')`,
      "return 0",
    ),
    write_ready: body("import os", "os.write(200, b'R\\nR\\nS1\\nX\\n')", "return 0"),
    write_noise: body("import os", "os.write(200, bytes(range(256)) * 64 + b'\\n')", "return 0"),
    outcome_late: body("import os", `os.write(200, b'{"v": "[1"}\\n')`, "return 0"),
    load_null: "import os\nos.write(200, b'null\\n')\n" + body("return 0"),
    load_good: "import os\n" +
      `os.write(200, b'{"error": null, "syntax": false, "late": false}\\n')\n` + body("return 0"),
    load_types: "import os\n" +
      `os.write(200, b'{"error": {"type": [], "message": 1}, "syntax": 0}\\n')\n` +
      body("return 0"),
    outcome_null: body("import os", "os.write(200, b'null\\n[]\\n7\\n')", "return 0"),
    outcome_types: body(
      "import os",
      `os.write(200, b'{"x": 5, "error": {"type": 1}}\\n')`,
      "return 0",
    ),
    outcome_deep: body(
      "import os",
      `os.write(200, b'{"v": ' + b'[' * 10 ** 6 + b']' * 10 ** 6 + b'}\\n')`,
      "return 0",
    ),
    outcome_deep_text: body(
      "import os",
      `os.write(200, b'{"v": "' + b'[' * 10 ** 6 + b']' * 10 ** 6 + b'"}\\n')`,
      "return 0",
    ),
    read_terminal: body("return open('/dev/stdin').read() or input()"),
    tag_bomb: body(
      "import os",
      `os.write(200, b'{"v": "{\\\\"i\\\\": \\\\"zz\\\\"}"}\\n')`,
      "return 0",
    ),
    patched_all: `import builtins, math, os, json, operator
builtins.abs = builtins.len = builtins.isinstance = lambda *a: 0
math.isclose = lambda *a, **k: True
json.dumps = lambda *a, **k: '{"ok": true}'
` + body("return 0"),
    patched_main: `import __main__
__main__._encode = lambda *a: True
__main__._call = lambda *a: {"ok": True, "late": False, "error": None}
` + body("return 0"),
    patched_assert: `import builtins
class Quiet(BaseException): pass
builtins.AssertionError = Quiet
` + body("return 0"),
    exits: body("raise SystemExit(0)"),
    interrupt: body("raise KeyboardInterrupt"),
    false_error: "class AssertionError(Exception): pass\n" + body("raise AssertionError"),
    import_hook: `import sys, importlib.abc
class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, *a): raise SystemExit(0)
sys.meta_path.insert(0, Hook())
sys.modules.clear()
` + body("return 0"),
    exit_hook: "import atexit\natexit.register(lambda: 1/0)\n" + body("return 0"),
  },
  "never ends": {
    loop: body("while True: pass"),
    recursion_loop: body("while True:", "    try: solve(x)", "    except RecursionError: pass"),
    stubborn: body(
      "while True:",
      "    try:",
      "        while True: pass",
      "    except BaseException: pass",
    ),
    c_loop: body("return sum(range(10**12))"),
    sleep: body("import time", "time.sleep(30)", "return 9"),
    power: body("return 10 ** 10 ** 9"),
    pattern: body("import re", "return re.match('(a+)+$', 'a' * 40 + 'b')"),
    at_load: "while True: pass\n" + body("return 9"),
    iterator: body("import itertools", "return itertools.count()"),
    long_text: "class Slow(Exception):\n    def __str__(self):\n        while True: pass\n" +
      body("raise Slow"),
    chatter: body("import os", `while True: os.write(200, b'{"x": 1}\\n')`),
    chatter_after: "import os\n" + body(
      "def again(*a):",
      "    while True: os.write(200, b'0\\n')",
      "os.read = again",
      "return 0",
    ).replaceAll("os.write", "write").replace("import os\n", "import os\nwrite = os.write\n"),
  },
  "takes too much": {
    memory: body("return len(bytearray(10 ** 9))"),
    growing: body("a = []", "while True: a.append(bytearray(10 ** 6))"),
    hoard: "kept = []\n" + body("kept.append(bytearray(50 * 10 ** 6))", "return 0"),
    text: body("return 'x' * 10 ** 8"),
    doubled: body("a = []", "for _ in range(60): a = [a, a]", "return a"),
    knot: body("a = []", "a.append(a)", "return a"),
    nested: body("a = []", "for _ in range(10 ** 5): a = [a]", "return a"),
    big_number: body("return 1 << 10 ** 8"),
    output: body("while True: print('x' * 10 ** 6)"),
    one_line: body("import os", "while True: os.write(200, b'x' * 10 ** 6)"),
    recursion: body("return solve(x)"),
    deep_stack: body("import sys", "sys.setrecursionlimit(10 ** 8)", "return solve(x)"),
    deep_repr: body("a = []", "for _ in range(10 ** 6): a = [a]", "return repr(a)"),
    deep_parse: body("return eval('(' * 10 ** 5 + ')' * 10 ** 5)"),
    disk: body("f = open('/tmp/full', 'wb')", "while True: f.write(bytes(10 ** 6))"),
  },
  "breaks its interpreter": {
    hard_exit: body("import os", "os._exit(0)"),
    abort: body("import os", "os.abort()"),
    fault: body("import faulthandler", "faulthandler._sigsegv()"),
    close_all: body("import os", "os.closerange(0, 300)", "return 0"),
    handler: body("import signal", "signal.signal(2, lambda *a: 1/0)", "while True: pass"),
  },
  "stays for the next run": {
    file: body("open('/tmp/left', 'w').write('9')", "return 0"),
    library: body("open('/lib/python314.zip', 'wb').write(b'')", "return 0"),
    module: body("open('/home/pyodide/math.py', 'w').write('x=1')", "return 0"),
    remove: body("import shutil", "shutil.rmtree('/lib', ignore_errors=True)", "return 0"),
    folder: body("import os", "os.mkdir('/tmp/left')", "os.chdir('/tmp/left')", "return 0"),
    builtins: `import builtins
builtins.len = builtins.range = builtins.compile = builtins.exec = None
` + body("return 0"),
    files_open: body(
      "import os",
      "for _ in range(5000): os.open('/lib/python314.zip', 0)",
      "return 0",
    ),
  },
};
