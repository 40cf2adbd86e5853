/** What is read off program text, as it is meant: returns, calls of the helper, mere wrappers. */
import assert from "node:assert/strict";
import { hasReturn, isWrapper, usesAux } from "../../../shared/environments/coding/analysis.ts";
import { linesOf } from "../../../shared/environments/coding/python_lines.ts";

const f = (...lines: string[]) =>
  ["def f(x, y=0):", ...lines.map((line) => `    ${line}`)].join("\n");

Deno.test("usesAux counts calls in code alone", () => {
  const calls = [
    "return aux(x)",
    "return aux (x)",
    'return f"{aux(x)!r:>{y}}"',
    "return [a for a in x if aux(\n  a)]",
    "return (  # its (\n aux\n (x))",
  ];
  const none = [
    "# aux(x)\n    return x",
    '"""Calls aux(x)."""\n    return x',
    'return "aux(x)"',
    "return r'\\'aux(x)'",
    'return f"{{aux(x)}} {x:aux(}"',
    "return x.aux(x)",
    "return myaux(x) + aux",
    "'''\n    aux(x)\n    '''\n    return x",
    "aux = lambda z: z\n    return aux(x)",
    "def aux(z): return z\n    return aux(x)",
    "from my import aux\n    return aux(x)",
    "return (lambda aux: aux(x))(y)",
  ];
  for (const body of calls) assert.ok(usesAux(f(body)), body);
  for (const body of none) assert.ok(!usesAux(f(body)), body);
  assert.ok(usesAux("def g(x):\n    return aux(x)\ndef f(x):\n    return g(x)"));
  assert.ok(!usesAux("def f(x, aux=len):\n    return aux(x)"));
});

Deno.test("hasReturn counts statements alone", () => {
  for (const body of ["return x", "return(x)", "return\n    pass", "return[x]"]) {
    assert.ok(hasReturn(f(body)), body);
  }
  for (const body of ["pass  # return x", '"return x"', "return", "returned = x"]) {
    assert.ok(!hasReturn(f(body)), body);
  }
});

Deno.test("isWrapper tells mere passing on from work", () => {
  const wrappers = [
    ["return aux(x)"],
    ["return (aux(x, y))"],
    ["return aux(*x, y=y, **z)"],
    ["pass", "return aux(x)"],
    ["pass; return aux(x)"],
    ['"""', "return 5", '"""', "# why", "return aux(", "  x,", ")"],
    ["r: int = aux(x)", "return r"],
    ["r = aux(x); return r"],
    ["r = (aux(x))", "return (r)  # r"],
    ["return aux(x) + 0"],
  ];
  const workers = [
    ["return aux(x)+7"],
    ["return aux(x + 1)"],
    ["return aux(x * y)"],
    ["return aux(x if x else y)"],
    ["return aux(aux(x))"],
    ["return (aux(x)) * (aux(x))"],
    ["return auxiliary + 1"],
    ["r = aux(x) + 1", "return r"],
    ["r = aux(x)", "return r + 0"],
    ["r = aux(x)", "return x"],
    ["r += aux(x)", "return r"],
    ["return aux(x) if x else 1"],
    ["if x: return aux(x)"],
    ["return x"],
  ];
  for (const body of wrappers) assert.ok(isWrapper(f(...body)), body.join("\n"));
  for (const body of workers) assert.ok(!isWrapper(f(...body)), body.join("\n"));
  assert.ok(isWrapper("@cache\nasync def f(x: {1: 2}) -> int: return aux(x)"));
  assert.ok(!isWrapper("") && !isWrapper("def f(x"));
});

Deno.test("linesOf reads logical lines amid prose", () => {
  const read = (text: string) =>
    linesOf(text).map(({ indent, tokens }) => `${indent} ${tokens.map((t) => t.text).join(" ")}`);
  const cases: [string, string[]][] = [
    ["x = [1,\n2]  # (\n\n  y = '('\n", ["0 x = [ 1 , 2 ]", "2 y = '('"]],
    ["Don't (ask\nD = (1\ndef f(x): return x", [
      ...["0 Don 't (ask", "0 D = ( 1", "0 def f ( x ) : return x"],
    ]],
    ["'''a\nb''' 'c\\\nd' \\\n e", ["0 '''a\nb''' 'c\\\nd' e"]],
    ['"""never\n\tclosed', ['0 """ never', "8 closed"]],
    ["f\"{x['a']:>{n}}}}\" rb'\\''", ["0 f\" { x [ 'a' ] : > { n } } }} \" rb'\\''"]],
  ];
  for (const [text, lines] of cases) assert.deepEqual(read(text), lines);
});
