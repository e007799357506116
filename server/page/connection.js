// The websocket to /v1/realtime: dialled again when it is lost, and its refusals explained.

const PATH = "/v1/realtime";
const PAUSES_S = [0.5, 1, 2, 4, 8, 8, 8, 8];
const STEADY_MS = 10_000; // a connection that held this long starts over with the first pause
const POLICY_VIOLATION = 1008;

export class Connection {
  #socket = null;
  #token = "";
  #attempt = 0;
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
    this.#attempt = 0;
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
      if (openedAt !== null && performance.now() - openedAt > STEADY_MS) this.#attempt = 0;
      const turnedOut = openedAt !== null && code === POLICY_VIOLATION;
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
      const retryAfterS = Number(answer.headers.get("Retry-After")) || 0;
      if (answer.status === 401) return { kind: "token", said: this.#token ? said : "" };
      if (answer.status === 503 || answer.status === 429) return { kind: "busy", said, retryAfterS };
      if (answer.status === 426) return {}; // it would be let in now
      return { kind: "refused", said };
    } catch {
      return { kind: "unreachable", said: "" };
    }
  }

  #again({ kind, said, retryAfterS = 0 }) {
    const hopeless = kind === "token" || kind === "refused" || this.#attempt >= PAUSES_S.length;
    if (hopeless) {
      this.#socket = null;
      this.#on.trouble({ kind, said, retryInS: null });
      return;
    }
    const pauseS = Math.max(PAUSES_S[this.#attempt], Math.min(retryAfterS, 30)) * (1 + 0.2 * Math.random());
    this.#attempt += 1;
    this.#on.trouble({ kind, said, retryInS: pauseS });
    this.#timer = setTimeout(() => this.#dial(), pauseS * 1_000);
  }
}
