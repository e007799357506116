// The websocket to /v1/realtime: dialled again when it is lost, and its refusals explained.

import { Backoff, POLICY, askedPauseS } from "./backoff.js";

const PATH = "/v1/realtime";

export class Connection {
  #socket = null;
  #token = "";
  #backoff = null;
  #timer = 0;
  #on;

  /**
   * `on.opened()` is told when the server has made a session, `on.event(event)` gets all it says, and
   * `on.trouble({kind, said, retryInS})` why there is none: `kind` is `unreachable`, `busy`, `token`, `refused`
   * or `lost`, `said` the server's own words, `retryInS` null where nothing more is tried.
   */
  constructor(on) {
    this.#on = on;
  }

  open(token) {
    this.close();
    this.#token = token;
    this.#backoff = new Backoff();
    this.#dial();
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  /** What has nowhere to go is dropped. */
  send(event) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(event));
  }

  #dial() {
    // A browser cannot set a header on a websocket; the protocol's way round is a subprotocol that carries the token.
    const protocols = this.#token ? ["realtime", `openai-insecure-api-key.${this.#token}`] : [];
    let socket;
    try {
      socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${PATH}`, protocols);
    } catch {
      const said = "browsers can send letters, digits and - . _ ~ + only";
      this.#on.trouble({ kind: "token", said, retryInS: null });
      return;
    }
    this.#socket = socket;
    let openedAt = null;
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      const event = JSON.parse(data);
      if (event.type === "session.created") {
        openedAt = performance.now();
        this.#on.opened();
      }
      this.#on.event(event);
    });
    socket.addEventListener("close", async ({ code, reason }) => {
      if (socket !== this.#socket) return;
      if (openedAt !== null && performance.now() - openedAt >= POLICY.steadyS * 1_000) this.#backoff = new Backoff();
      const turnedOut = openedAt !== null && !POLICY.passingCodes.includes(code);
      const trouble = turnedOut ? { kind: "refused", said: reason } : await this.#diagnose();
      if (socket === this.#socket) this.#again(trouble.kind ? trouble : { kind: "lost", said: reason, ...trouble });
    });
  }

  /** A browser is not told why a websocket was refused; the same door, knocked at by plain HTTP, says it. */
  async #diagnose() {
    try {
      const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
      const answer = await fetch(PATH, { headers, cache: "no-store" });
      const said = (await answer.text()).trim();
      const askedS = askedPauseS(answer.headers.get("Retry-After"));
      if (answer.status === 401) return { kind: "token", said: this.#token ? said : "" };
      if (answer.status === 426) return {}; // it would be let in now
      if (answer.status === 503 || answer.status === 429) return { kind: "busy", said, askedS };
      if (POLICY.passingStatuses.includes(answer.status)) return { kind: "unreachable", said: "", askedS };
      return { kind: "refused", said };
    } catch {
      return { kind: "unreachable", said: "" };
    }
  }

  #again({ kind, said, askedS = null }) {
    const hopeless = kind === "token" || kind === "refused";
    const pauseS = hopeless ? null : this.#backoff.nextPauseS(askedS);
    if (pauseS === null) this.#socket = null;
    else this.#timer = setTimeout(() => this.#dial(), pauseS * 1_000);
    this.#on.trouble({ kind, said, retryInS: pauseS });
  }
}
