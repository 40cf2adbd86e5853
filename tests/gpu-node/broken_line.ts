/**
 * A TCP line to a server on this machine that breaks on demand: before anything passes, or when
 * the answer would come back. Leaves out what passes: it counts connections only.
 */

/** What happens to the k-th connection. */
export type Fault = (k: number) => "lose request" | "lose answer" | null;

export interface Line {
  readonly port: number;
  /** Connections so far. */
  readonly count: number;
  close(): Promise<void>;
}

export function openLine(target: number, fault: Fault): Line {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let count = 0;
  const pass = async (here: Deno.TcpConn, how: ReturnType<Fault>) => {
    if (how === "lose request") return here.close();
    const there = await Deno.connect({ hostname: "127.0.0.1", port: target });
    const back = how === "lose answer"
      ? there.read(new Uint8Array(1)).then(() => here.close())
      : there.readable.pipeTo(here.writable);
    const forth = here.readable.pipeTo(there.writable);
    await Promise.allSettled([forth, back]);
    for (const end of [here, there]) {
      try {
        end.close();
      } catch {
        // Closed with its stream.
      }
    }
  };
  const lines: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) lines.push(pass(connection, fault(count++)));
  })();
  return {
    port: listener.addr.port,
    get count() {
      return count;
    },
    async close() {
      listener.close();
      await accepting;
      await Promise.all(lines);
    },
  };
}
