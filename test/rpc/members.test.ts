import { describe, expect, it } from "vitest";
import { createMembers } from "../../server/rpc/members.js";

describe("members", () => {
  it("are those who came and did not leave, whoever leaves first", () => {
    const members = createMembers<string>();
    const leave = new Map(["a", "b", "c", "d"].map((name) => [name, members.add(name)]));
    const names = (): string[] => [...members.all()].sort();
    expect(names()).toEqual(["a", "b", "c", "d"]);
    leave.get("b")?.();
    expect(names()).toEqual(["a", "c", "d"]);
    leave.get("d")?.();
    leave.get("d")?.();
    expect(names()).toEqual(["a", "c"]);
    const leaveAgain = members.add("e");
    leave.get("a")?.();
    expect(names()).toEqual(["c", "e"]);
    expect(members.size).toBe(2);
    leave.get("c")?.();
    leaveAgain();
    expect(members.all()).toEqual([]);
  });

  it("that are alike are told apart", () => {
    const members = createMembers<string>();
    const leave = members.add("a");
    members.add("a");
    leave();
    leave();
    expect(members.all()).toEqual(["a"]);
  });
});
