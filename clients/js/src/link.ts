import type { ClientEvent, ServerEvent, SessionError } from "./events";

/** Wait after failure number n: 0.25 s · 2^n, at most 8 s, and up to a quarter more at random. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8_000;
/** Longest outage: the server keeps a dropped session for 30 s. */
const OUTAGE_MS = 25_000;
const ATTEMPTS = 5;
/** A connection that is not made within so much has failed. */
const CONNECT_MS = 10_000;
/** Kept while there is no connection: events, and the newest 2 s of audio in pieces of 40 ms. */
const MOST_EVENTS = 100;
const MOST_AUDIO = 50;
/** Of what the browser has not sent yet; beyond that, audio is dropped rather than late. */
const MOST_BUFFERED_BYTES = 192_000;
const FINAL_ERRORS = new Set([
  "session_not_found", "session_expired", "session_forbidden", "unauthorized",
]);

export interface LinkEnd {
  code: number;
  reason: string;
  error: SessionError | null;
}

export interface LinkHandlers {
  event(event: ServerEvent): void;
  audio(samples: Int16Array): void;
  /** There is a connection, and it is not the first. */
  back(): void;
  /** The connection is gone; another one is being made. */
  dropped(): void;
  /** There will be no other connection. */
  ended(end: LinkEnd): void;
}

/** A WebSocket that comes back. */
export class Link {
  private socket: WebSocket | null = null;
  private events: string[] = [];
  private audio: Int16Array[] = [];
  private failures = 0;
  private outageBegan = 0;
  private had = false;
  private over = false;
  private lastError: SessionError | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly address: string,
    private readonly handlers: LinkHandlers,
  ) {
    globalThis.addEventListener?.("online", this.hurry);
    this.connect();
  }

  send(event: ClientEvent): void {
    const text = JSON.stringify(event);
    if (this.isOpen) this.socket!.send(text);
    else if (!this.over && this.events.length < MOST_EVENTS) this.events.push(text);
  }

  sendAudio(samples: Int16Array): void {
    if (this.isOpen) {
      if (this.socket!.bufferedAmount < MOST_BUFFERED_BYTES) this.socket!.send(samples as BufferSource);
    } else if (!this.over) {
      this.audio.push(samples);
      if (this.audio.length > MOST_AUDIO) this.audio.shift();
    }
  }

  /** Close for good. */
  close(code = 1000, reason = ""): void {
    if (this.over) return;
    this.finish({ code, reason, error: this.lastError });
  }

  private get isOpen(): boolean {
    return this.socket?.readyState === 1;
  }

  private connect(): void {
    const socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    const impatience = setTimeout(() => socket.close(), CONNECT_MS);
    socket.onopen = () => {
      clearTimeout(impatience);
      this.failures = 0;
      for (const text of this.events.splice(0)) socket.send(text);
      for (const samples of this.audio.splice(0)) socket.send(samples as BufferSource);
      if (this.had) this.handlers.back();
      this.had = true;
    };
    socket.onmessage = ({ data }) => this.receive(data as string | ArrayBuffer);
    socket.onclose = ({ code, reason }) => {
      clearTimeout(impatience);
      if (socket === this.socket && !this.over) this.lost(code, reason);
    };
  }

  private receive(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      this.handlers.audio(new Int16Array(data));
      return;
    }
    const event = JSON.parse(data) as ServerEvent;
    if (event.type === "session.error") this.lastError = event;
    this.handlers.event(event);
  }

  private lost(code: number, reason: string): void {
    this.socket = null;
    const now = Date.now();
    if (this.failures === 0) this.outageBegan = now;
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.failures, LONGEST_WAIT_MS);
    const due = wait * (1 + Math.random() / 4);
    this.failures += 1;
    const isFinal =
      code === 1000 || code === 1008 || (code >= 4400 && code < 4500) ||
      (this.lastError !== null && FINAL_ERRORS.has(this.lastError.code));
    if (isFinal || this.failures > ATTEMPTS || now + due - this.outageBegan > OUTAGE_MS) {
      this.finish({ code, reason, error: this.lastError });
      return;
    }
    if (this.failures === 1) this.handlers.dropped();
    this.timer = setTimeout(() => this.connect(), due);
  }

  /** The machine is on the network again: do not wait out the back-off. */
  private readonly hurry = (): void => {
    if (this.over || this.socket !== null || this.timer === undefined) return;
    clearTimeout(this.timer);
    this.connect();
  };

  private finish(end: LinkEnd): void {
    this.over = true;
    clearTimeout(this.timer);
    globalThis.removeEventListener?.("online", this.hurry);
    this.socket?.close(1000);
    this.socket = null;
    this.handlers.ended(end);
  }
}
