/** Functions in completions of every kind: what is cut out, and that it then runs. */
import assert from "node:assert/strict";
import { contextOf, extract } from "../../../shared/environments/coding/clean.ts";
import { judge } from "../../../shared/environments/coding/reward.ts";
import { sandboxTest } from "./sandbox.ts";

const F = "def f(x):\n    return x + 1";
const AFTER = "\n\nNow the function's done: it adds 1 (one). Good luck!\nfor example: x = 5";
const TASK = {
  prompt: 'def f(x):\n    """One more"""\n',
  test: "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(4) == 5\n",
  entry_point: "f",
};

/** Completions that give 2 for 1 and 5 for 4. */
const RIGHT: Record<string, string> = {
  triple_quotes_in_a_string: `def f(x):\n    m = '"""'\n    return x + 1${AFTER}`,
  triple_quotes_in_a_comment: `def f(x):\n    # """\n    return x + 1${AFTER}`,
  unindented_brackets: `def f(x):\n    y = [\n1,\nx,\n]\n    return sum(\n  y\n)${AFTER}`,
  unindented_text: `def f(x):\n    t = """\na\n\nb"""\n    return x + len(t) - 4 + 0${AFTER}`,
  backslash: "def f(x):\n    return x + \\\n1\nprint(f(1))",
  type_parameters: "class N[T]: one = 1\ndef f[T](x: T) -> T:\n    return x + N.one",
  open_bracket_before: "Let me think (a bit\n\n" + F,
  lone_quotes_before: 'It\'s "simple\n"""\n' + F,
  filled_by_a_loop: "D = {}\nfor k in range(9):\n    D[k] = k + 1\ndef f(x):\n    return D[x]",
  filled_by_calls: "L = []\nfor k in range(9): L.append(k + 1)\ndef f(x):\n    return L[x]",
  filled_singly: "D = {1: 2}\nD[4] = 5; D.update({3: 4})\ndef f(x):\n    return D[x]",
  filled_by_a_function:
    "D = {}\ndef fill(n):\n    for k in range(n): D[k] = k + 1\nfill(9)\ndef f(x):\n    return D[x]",
  counted_up: "A = 0\nA += 1\nwhile A > 1: A -= 1\ndef f(x):\n    return x + A",
  guarded_import: "try:\n    import nowhere as m\nexcept ImportError:\n    m = None\n\n" +
    "def f(x):\n    return x + 1 if m is None else 0",
  either_way: "if True:\n    def one(): return 1\nelse:\n    one = None\n" +
    "def f(x):\n    return x + one()",
  after_it: "def f(x):\n    return x + ONE\n\nONE = 1\n",
  lambda_beside: "one = lambda y, z=1: y + z\ndef f(x):\n    return one(x)",
  names_of_its_own: "x, y = map(int, input().split())\nfor n in [input()]: print(n)\n" +
    "def f(x):\n    y = [n for n in [x]]\n    return y[0] + 1",
  unneeded_import: `import nowhere\nfrom nowhere import pytest as p\n${F}`,
  long_import: `from math import (\n    floor,\n    ceil as c,\n)\ndef f(x):\n    return c(x) + 1`,
  star_import: "from math import *\ndef f(x):\n    return floor(x) + 1",
  list_item:
    `1. First:\n\n   \`\`\`python\n   import math\n\n   def f(x):\n       return x + 1\n   \`\`\`\n${AFTER}`,
  list_item_fence: `- \`\`\`py\n  def f(x):\n      return x + 1\n  \`\`\`\n  So ${AFTER}`,
  tilde_fence: `See:\n~~~python\n${F}\n~~~\nx = (`,
  fence_in_a_docstring:
    `\`\`\`python\ndef f(x):\n    """\n    \`\`\`\n    f(1)\n    \`\`\`\n    """\n    return x + 1\n\`\`\`${AFTER}`,
  unclosed_fence: `\`\`\`python\ndef g(x):\n    return 1\n\`\`\`python\n${F}`,
  windows_lines: `\`\`\`python\r\n${F.replaceAll("\n", "\r\n")}\r\n\`\`\`\r\nDone.`,
  all_indented: `    ONE = 1\n    def f(x):\n        return x + ONE`,
  class_needed: "class P:\n    def __init__(self, v): self.v = v\ndef f(x):\n    return P(x).v + 1",
  method: "class Solution:\n    def f(self, x: int) -> int:\n        return x + 1",
  method_with_helpers: "ONE = 1\nclass Solution(object):\n    def __init__(self): self.n = 0\n" +
    "    def g(self, x):\n        self.n += ONE\n        return x + self.n\n" +
    "    def f(self, x):\n        return self.g(x)\n\nprint(Solution().f(input()))",
  static_method: "class S:\n    @staticmethod\n    def f(x):\n        return x + 1",
  class_method:
    "class S:\n    ONE = 1\n    @classmethod\n    def f(cls, x):\n        return x + cls.ONE",
  decorated: "from functools import lru_cache\n\n@lru_cache(None)\ndef f(x):\n    return x + 1",
  filled_as_an_argument: "import heapq\nH = [5, 2, 9]\nheapq.heapify(H)\nfor k in [0]:\n" +
    "    heapq.heappush(H, k)\ndef f(x):\n    return x + H[0] + 1",
  filled_by_a_parameter:
    "def mark(s):\n    for k in range(9): s[k] = k + 1\nS = [0] * 9\nmark(S)\n" +
    "def f(x):\n    return S[x]",
  set_from_outside: "class C: pass\nsetattr(C, 'one', 1)\ndef f(x):\n    return x + C.one",
  registered: "OPS = {}\ndef register(name):\n    def enter(g):\n        OPS[name] = g\n" +
    "        return g\n    return enter\n@register('one')\ndef _(x):\n    return x + 1\n" +
    "def f(x):\n    return OPS['one'](x)",
  registered_by_a_method: "class R:\n    def __init__(self): self.ops = []\n" +
    "    def add(self, g):\n        self.ops.append(g)\nr = R()\n@r.add\ndef one(x):\n" +
    "    return x + 1\ndef f(x):\n    return r.ops[0](x)",
  registered_subclass: "class Base:\n    all = []\n    def __init_subclass__(cls):\n" +
    "        Base.all.append(cls())\nclass One(Base):\n    one = 1\n" +
    "def f(x):\n    return x + Base.all[0].one",
  single_dispatch: "from functools import singledispatch\n@singledispatch\ndef f(x):\n" +
    "    return None\n@f.register\ndef _(x: int):\n    return x + 1",
  settings: "import sys\nfrom decimal import Decimal, getcontext\ngetcontext().prec = 3\n" +
    "sys.setrecursionlimit(5000)\ndef f(x):\n" +
    "    return x + (Decimal(10) / 3 == Decimal('3.33'))",
  wrapped_anew: "from functools import lru_cache\ndef f(x):\n    return x + 1\n" +
    "f = lru_cache(maxsize=None)(f)",
  found_by_text: "def one(x):\n    return x + 1\nexec('two = one')\n" +
    "def f(x):\n    return eval('one(x)') + globals()['two'](x) - two(x)",
  conversions: "def f(x):\n    f'{x!s}{x!r:>{x}}'\n    return x + 1\ns = r = input()",
  captures: "def f(x):\n    match [x]:\n        case [int(v)] if v:\n            return v + 1\n" +
    "        case {'k': w, **rest}: return w\n        case R(a=z): return z\nv, w, rest, a, z = input()",
  lambda_in_a_default: "def f(x, g=lambda y, z=1: y + z):\n    return g(x)\ny = z = input()",
  default_of_its_name: "memo = [1]\ndef f(x, memo=memo):\n    return x + memo[0]",
  class_attributes: "class A:\n    n: int\n    one = 1\n    two = one + 1\n" +
    "def f(x):\n    return x + A.one\nn = one = input()",
  future_lines: "import re\nfrom __future__ import (\n    annotations,\n)\n" +
    "def f(x: Foo) -> re:\n    return x + 1",
  marks_in_texts: `def f(x):\n    return x + len('\`\`\`') - 2`,
  marks_at_the_margin_of_a_docstring:
    `\`\`\`python\ndef f(x):\n  """\n\`\`\`\nf(1)\n\`\`\`\n  """\n  return x + 1\n\`\`\`${AFTER}`,
  open_bracket_before_an_import:
    "Here :(\nfrom math import floor\ndef f(x):\n    return floor(x) + 1",
  example_that_raises: "T = [1]\ndef f(x):\n    return x + T[0]\ntotal = f('a') + T.pop()\n" +
    "def main():\n    T.append(f(input()))\nmain()\nprint(T.clear())",
  within_a_function:
    "ONE = 1\ndef main():\n    def f(x):\n        return x + ONE\n    print(f(input()))",
};

sandboxTest(
  "extract finds functions in completions of every kind, and they run",
  async (sandbox) => {
    const wrong: string[] = [];
    await Promise.all(
      Object.entries(RIGHT).map(async ([name, main]) => {
        const report = await judge(sandbox, TASK, { aux: "", main }, {
          ...{ reference: false, time_limit_s: 10 },
        });
        if (report.reward !== 2.1) wrong.push(`${name}: ${JSON.stringify(report)}`);
      }),
    );
    assert.deepEqual(wrong, []);
  },
);

/** Completions that double: names that both bind are each one's own. */
const TOGETHER: Record<string, [aux: string, main: string]> = {
  helpers: [
    "def g(a, b):\n    return a * b\ndef aux(x):\n    return g(x, 1)",
    "def g(a):\n    return a * 2\ndef f(x):\n    return g(aux(x))",
  ],
  constants: ["K = 1\ndef aux(x):\n    return x * K", "K = 2\ndef f(x):\n    return aux(x) * K"],
  future: [
    "from __future__ import (annotations,\n    division)\ndef aux(x: int):\n    return x",
    "from __future__ import annotations\nimport re\ndef f(x: Foo):\n    return aux(x) * 2",
  ],
  own_helper: [
    "def aux(x):\n    return x",
    "def twice(x):\n    return aux(x) * 2\ndef f(x):\n    return twice(x)",
  ],
};

sandboxTest("judge keeps the names of both agents apart", async (sandbox) => {
  const test = "assert f(3) == 6\nassert f(4) == 8";
  for (const [name, [aux, main]] of Object.entries(TOGETHER)) {
    const task = { ...TASK, prompt: "def f(x):\n    'Twice'\n", test };
    const report = await judge(sandbox, task, { aux, main }, {
      ...{ reference: false, time_limit_s: 10 },
    });
    assert.equal(report.reward, 4, `${name}: ${JSON.stringify(report)}`);
  }
  const broken = { aux: "K = 1\ndef aux(x):\n    return (K", main: TOGETHER.constants![1] };
  const report = await judge(sandbox, { ...TASK, test }, broken, {
    ...{ reference: false, time_limit_s: 10 },
  });
  assert.deepEqual([report.parsed, report.reward], [false, 1]);
});

Deno.test("extract takes of what stands beside a function what it needs", () => {
  const { code, program } = extract(
    "import os\nimport re  # for f\nN = 3\nM = N\nM += 1\nunused = 5\nresult = f(2)\n" +
      "def g():\n    return re\n\ndef f(x, unused=0):\n    # now\n    return g(), M\n\nassert f(1)\n" +
      "from helper import aux\n",
    "f",
  );
  assert.equal(code, "def f(x, unused=0):\n    # now\n    return g(), M");
  assert.equal(program, `import re\nN = 3\nM = N\nM += 1\ndef g():\n    return re\n${code}`);
  assert.deepEqual(extract("def g(x): return x", "f"), { code: "", program: "" });
  assert.equal(
    extract("class A:\n  def f(self, x):\n      return x", "f").code,
    [
      ...["def f(self, x):", "    return x"],
    ].join("\n"),
  );
});

Deno.test("contextOf leaves out the wanted function, its uses, and prose", () => {
  const prompt = "import re\nBASE = 2\nprint(BASE)\nr = f(1)\nNote that n = 5\nT: dict = {}\n" +
    "T[1] = 2\ndef g(x):\n    return x\n\ndef f(x):\n    '''doc'''\n";
  assert.deepEqual(contextOf(prompt, "f").split("\n\n"), [
    ...["import re", "BASE = 2", "T: dict = {}", "T[1] = 2", "def g(x):\n    return x"],
  ]);
});
