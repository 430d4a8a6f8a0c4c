import { expect } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import { createLiveNet, type LiveNet, type LiveStream } from "./live-net.js";
import { change, contents, newReplica, newStore, serverContents, sumOf } from "./world.js";

/** Two replicas that are live, with what they hold. `options`: of both, as LiveNet.join. */
export function livePair(
  items: Record<string, string> = { x: "old" },
  early = false,
  options: Parameters<LiveNet["join"]>[1] = {},
) {
  const net = createLiveNet(newStore(), {}, early);
  const [a, b] = [newReplica(1), newReplica(2)];
  change(a, items);
  const one = net.join(a, options);
  const two = net.join(b, options);
  net.settle();
  expect(one.client.standing()).toBe("live");
  expect(two.client.standing()).toBe("live");
  return { net, a, b, one, two };
}

/** The application changes a replica. */
export function edit(stream: LiveStream, replica: MemoryReplica, changes: Record<string, string | null>): void {
  change(replica, changes);
  stream.notify();
}

/** The server and the replicas have the same, and nothing is pending. */
export function whole(net: LiveNet, ...replicas: MemoryReplica[]): void {
  const expected = serverContents(net.store);
  for (const replica of replicas) {
    expect(contents(replica)).toEqual(expected);
    expect(replica.state().pending).toBe(0);
    expect(replica.state().total).toEqual(sumOf(expected));
  }
}
