/**
 * What an update from outside must hold before the device sees it: the field its loss reads and
 * positions inside the sequence, since a wrong one would read another sequence's row.
 */
import { CollmError } from "../../shared/errors.ts";
import type { UpdateRequest } from "../verbs.ts";

/** Throws invalid_request naming the first sequence that does not fit the loss. */
export function checkUpdate({ policy, loss, batch }: UpdateRequest): void {
  const fail = (why: string) => {
    throw new CollmError("invalid_request", `Cannot update policy '${policy}': ${why}`);
  };
  for (const [i, s] of batch.entries()) {
    if (typeof s.read_at === "number" && s.read_at >= s.tokens.length) {
      fail(`batch[${i}] is read at ${s.read_at} but has ${s.tokens.length} tokens`);
    }
    if (
      loss === "policy_gradient" && (s.advantage === undefined) === (s.advantages === undefined)
    ) {
      fail(`batch[${i}] needs either advantage or advantages for the loss policy_gradient`);
    }
    if (loss === "value_mse" && s.target === undefined) {
      fail(`batch[${i}] needs a target for the loss value_mse`);
    }
  }
  if (loss !== "value_mse" && batch.every((s) => s.tokens.length <= s.prompt_length)) {
    fail(`no sequence has a token after its prompt for the loss ${loss}`);
  }
}
