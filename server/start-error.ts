/** The server can't be started, for a reason that its operator can do something about. */
export class StartError extends Error {
  override readonly name = "StartError";
}
