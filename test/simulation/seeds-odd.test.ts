import { test } from "vitest";
import { runEverySecond, TIMEOUT_MS } from "./seeds.js";

test("no history of an odd seed breaks a rule", () => runEverySecond(1), TIMEOUT_MS);
