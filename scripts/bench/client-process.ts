// A contender's client with its replica, in a process of its own.
import { openDatabase } from "../../core/sqlite.js";
import { answerOrders } from "./answer-orders.js";
import type { Action, ClientModule, ContenderClient } from "./contender.js";
import { contentOf, type IdKind, idOf } from "./items.js";
import type { CheckAnswer, ClientOrder, Edit, SyncFigures } from "./orders.js";
import { meterSelf } from "./process-figures.js";

const PUT_BATCH = 10_000;

let opened: ContenderClient | undefined;
let ids: IdKind = "ordered";

function client(): ContenderClient {
  if (opened === undefined) throw new Error("no replica is open");
  return opened;
}

async function put({ indices, version }: Edit): Promise<void> {
  const count = typeof indices === "number" ? indices : indices.length;
  const indexAt = (at: number): number => (typeof indices === "number" ? at : (indices[at] ?? 0));
  for (let from = 0; from < count; from += PUT_BATCH) {
    const length = Math.min(PUT_BATCH, count - from);
    const items = Array.from({ length }, (_, at) => {
      const index = indexAt(from + at);
      return [idOf(ids, index), contentOf(index, version)] as const;
    });
    await client().put(items);
  }
}

async function sync(action: Action, times: number): Promise<SyncFigures> {
  const meter = meterSelf();
  const ms: number[] = [];
  let sent = 0;
  let received = 0;
  meter.begin();
  for (let time = 0; time < times; time++) {
    const began = performance.now();
    const moved = await client().sync(action);
    ms.push(performance.now() - began);
    sent += moved.sent;
    received += moved.received;
  }
  return { ms, moved: { sent, received }, process: meter.end() };
}

async function check(indices: readonly number[], large: string | undefined): Promise<CheckAnswer> {
  const contents: (string | undefined)[] = [];
  for (const index of indices) contents.push(await client().get(idOf(ids, index)));
  const bytes = large === undefined ? undefined : await client().sizeOf?.(large);
  return { count: await client().count(), contents, large: bytes };
}

async function obey(order: ClientOrder): Promise<unknown> {
  switch (order.kind) {
    case "open": {
      const module = (await import(order.module)) as ClientModule;
      ids = order.ids;
      opened = await module.openContender({ ...order, openDatabase });
      return undefined;
    }
    case "put":
      return await put(order);
    case "put-large":
      return await required(client().putLarge, "large items")(order.id, order.path);
    case "warm":
      return await client().warm();
    case "sync":
      return await sync(order.action, order.times);
    case "forget":
      return await required(client().forget, "recoveries")();
    case "check":
      return await check(order.indices, order.large);
    case "close":
      return await close();
  }
}

function required<F>(method: F | undefined, what: string): F {
  if (method === undefined) throw new Error(`this contender does no ${what}`);
  return method;
}

async function close(): Promise<void> {
  const closing = opened;
  opened = undefined;
  await closing?.close();
}

answerOrders(obey, close);
