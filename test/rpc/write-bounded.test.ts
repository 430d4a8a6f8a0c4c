import fc from "fast-check";
import { expect, test } from "vitest";
import { createBoundedWriter } from "../../server/rpc/write-bounded.js";

const BOUND_BYTES = 256 * 1024;
const BOUND_MESSAGES = 16;

/** A call that takes a message when it is told to. */
function slowCall(): { write(bytes: Buffer, written: () => void): boolean; take(): void; waiting(): number[] } {
  const queue: { size: number; written: () => void }[] = [];
  return {
    write(bytes, written) {
      queue.push({ size: bytes.length, written });
      return true;
    },
    take: () => queue.shift()?.written(),
    waiting: () => queue.map(({ size }) => size),
  };
}

test("a sender that heeds it never has more waiting than the bound and the message that met it, and is never forgotten", () => {
  const step = fc.oneof(
    fc.integer({ min: 0, max: BOUND_BYTES + 1 }),
    fc.integer({ min: 0, max: 10 }),
    fc.constant("take"),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const call = slowCall();
      let room = true;
      const writer = createBoundedWriter(call, () => {
        // It is called only where the sender was told to stop.
        expect(room).toBe(false);
        room = true;
      });
      for (const each of steps) {
        if (each === "take") call.take();
        else if (room) room = writer.write(Buffer.alloc(Number(each)));
        const waiting = call.waiting();
        const before = waiting.slice(0, -1).reduce((sum, size) => sum + size, 0);
        expect(before).toBeLessThan(BOUND_BYTES);
        expect(waiting.length).toBeLessThanOrEqual(BOUND_MESSAGES);
      }
      while (call.waiting().length > 0) call.take();
      expect(room).toBe(true);
    }),
  );
});

test("messages of the usual size stop a sender after two", () => {
  const call = slowCall();
  const writer = createBoundedWriter(call, () => undefined);
  const usual = Buffer.alloc(128 * 1024);
  expect(writer.write(usual)).toBe(true);
  expect(writer.write(usual)).toBe(false);
});
