/** Creating environments: ids, options and their refusals. */
import assert from "node:assert/strict";
import { createEnvironment, environmentIds } from "../../shared/environments/registry.ts";
import { CollmError } from "../../shared/errors.ts";

function refusal(call: () => unknown): CollmError {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof CollmError, String(error));
    return error;
  }
  throw new Error("nothing was refused");
}

Deno.test("createEnvironment gives str_build with its defaults", () => {
  assert.ok(environmentIds().includes("str_build"));
  const environment = createEnvironment("str_build");
  assert.deepEqual(environment.options, {
    turns: 4,
    agents: 2,
    prompt_style: "paper",
    feedback: "position_feedback",
    max_commands: 300,
    provide_graph: true,
    compat: "fixed",
  });
  assert.deepEqual(environment.agents, ["agent_1", "agent_2"]);
  assert.equal(environment.turns, 4);
  assert.deepEqual(environment.rewardRange, [-3, 2]);
  assert.deepEqual(createEnvironment("str_build", { agents: 1 }).rewardRange, [-2.75, 2]);
});

Deno.test("createEnvironment refuses unknown ids and options with the nearest name", () => {
  const unknown = refusal(() => createEnvironment("strbuild"));
  assert.equal(unknown.code, "not_found");
  assert.match(unknown.message, /'strbuild', did you mean 'str_build'\?$/);
  assert.equal(refusal(() => createEnvironment("toString")).code, "not_found");
  const option = refusal(() => createEnvironment("str_build", { prompt_stile: "paper" }));
  assert.equal(option.code, "invalid_request");
  assert.match(option.message, /unknown option 'prompt_stile', did you mean 'prompt_style'\?$/);
});

Deno.test("createEnvironment refuses bad option values and names them", () => {
  const message = (options: Record<string, unknown>) => {
    const error = refusal(() => createEnvironment("str_build", options));
    assert.equal(error.code, "invalid_request");
    return error.message;
  };
  assert.match(message({ turns: 17 }), /^Cannot create .*'str_build': option 'turns' is 17: /);
  assert.match(message({ turns: 1.5 }), /option 'turns' is 1.5/);
  assert.match(message({ agents: 3 }), /option 'agents' is 3: it must be 1 or 2$/);
  assert.match(message({ feedback: "none" }), /option 'feedback' is "none": .*score_feedback/);
  assert.match(message({ max_commands: 0 }), /option 'max_commands' is 0/);
  const compact = { prompt_style: "compact" };
  assert.match(message({ ...compact, feedback: "score_feedback" }), /needs prompt_style 'paper'/);
  assert.match(message({ ...compact, provide_graph: false }), /needs prompt_style 'paper'/);
});

Deno.test("createEnvironment takes compat where there is a published implementation, else says why not", () => {
  const without = ["bridge_build", "resource_gathering"];
  for (const id of environmentIds().filter((id) => !without.includes(id))) {
    assert.equal(createEnvironment(id, { compat: "reference" }).options["compat"], "reference", id);
  }
  for (const id of without) {
    assert.equal(
      refusal(() => createEnvironment(id, { compat: "reference" })).message,
      `Cannot create environment '${id}': it has no option 'compat', since there is no published ` +
        "implementation to follow",
    );
  }
});

Deno.test("options and inline tasks are refused in one sentence with the whole path of the key", () => {
  const of = (json: string) => JSON.parse(json) as Record<string, unknown>;
  const created = (id: string, json: string) =>
    refusal(() => createEnvironment(id, of(json))).message.replace(/^Cannot create [^:]*: /, "");
  const house = (json: string) => created("house_build", json);
  assert.equal(house('{"sizes":[[6,7,2]]}'), "option 'sizes[0][2]' is 2: expected at least 3");
  assert.equal(house('{"sizes":[[6,"x",5]]}'), "option 'sizes[0][1]' is \"x\": expected a number");
  assert.equal(house('{"sizes":3}'), "option 'sizes' is 3: expected a list");
  assert.equal(house('{"turns":1.5}'), "option 'turns' is 1.5: expected a whole number");
  assert.equal(
    created("mbpp", '{"sandbox_slice":"x"}'),
    "option 'sandbox_slice' is \"x\": it must be a whole number, all or null",
  );
  assert.match(house('{"__proto__":{"turns":1}}'), /^unknown option '__proto__', known: /);

  const task = (json: string) =>
    refusal(() => createEnvironment("resource_gathering").task(of(`{"map":["..WSI"],${json}}`)))
      .message.replace(/^Cannot read [^:]*: /, "");
  assert.equal(task('"goal":{"W":1,"S":1}'), "field 'goal.I' is undefined: it is missing");
  assert.equal(task('"goal":{"W":1,"S":1,"I":"a"}'), "field 'goal.I' is \"a\": expected a number");
  assert.equal(
    task('"goal":{"W":1,"S":1,"I":1,"X":1}'),
    "unknown field 'goal.X', did you mean 'W'?",
  );
  assert.match(task('"__proto__":1'), /^unknown field '__proto__', known: map, /);
  assert.equal(
    refusal(() => createEnvironment("house_build").task(of('{"layers_by_y":{"__proto__":[]}}')))
      .message,
    "Cannot read HouseBuild task: unknown field 'layers_by_y.__proto__'",
  );
});
