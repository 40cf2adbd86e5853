/**
 * An HTTP proxy in front of a server that misbehaves on demand: it answers with a status of its
 * own, or forwards a request and loses the answer.
 */

export interface FlakyProxy {
  readonly url: string;
  /** Requests that came in. */
  readonly requests: number;
  /** What happens to the next requests, in order; then all are forwarded. */
  misbehave(...how: (number | "lose answer")[]): void;
  stop(): Promise<void>;
}

export function startFlakyProxy(target: string): FlakyProxy {
  let plan: (number | "lose answer")[] = [];
  let requests = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      requests++;
      const how = plan.shift();
      const body = await request.arrayBuffer();
      if (typeof how === "number") return new Response("no", { status: how });
      const { pathname } = new URL(request.url);
      const { method } = request;
      const answer = await fetch(`${target}${pathname}`, {
        method,
        ...(method === "GET" ? {} : { body }),
      });
      const text = await answer.text();
      if (how === "lose answer") return new Response("lost", { status: 502 });
      return new Response(text, {
        status: answer.status,
        headers: { "content-type": "application/json" },
      });
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    get requests() {
      return requests;
    },
    misbehave: (...how) => void (plan = how),
    stop: () => server.shutdown(),
  };
}
