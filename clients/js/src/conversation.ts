import { Emitter } from "./emitter";
import type { ClientEvent, ServerEvent, ToolCall } from "./events";
import { Link, type LinkEnd } from "./link";
import type { Position } from "./playout";
import { MicrophoneError, type MicrophoneState, RATE, Sound } from "./sound";

/** Between two reports of what has been played. */
const REPORT_MS = 200;

export type Status = "connecting" | "live" | "reconnecting" | "ended";
export type Mode = "listening" | "hearing" | "thinking" | "speaking";

export interface Caption {
  who: "user" | "agent";
  /** The same for all versions of one caption. */
  id: string;
  /** All of it so far. */
  text: string;
  final: boolean;
  /** The agent was cut off. */
  interrupted: boolean;
}

export interface ConversationEvents {
  status: { status: Status };
  /** Whose turn it is. */
  mode: { mode: Mode };
  caption: Caption;
  microphone: { state: MicrophoneState; reason: string };
  tool: { call: ToolCall; result?: unknown; error?: string };
  error: { code: string; message: string };
  /** `reason` as the server says it, such as `agent_ended`; `connection_lost` where it says none. */
  ended: { reason: string; message: string };
  /** Everything the server says, as it comes. */
  event: ServerEvent;
}

export type Tool = (given: Record<string, unknown>) => unknown;

export interface ConversationOptions {
  /** `websocket_url` of a session: POST /v1/agents/{id}/sessions makes one, on your server. */
  url: string;
  /** What the agent may ask this page to do, by the tool's name. */
  tools?: Record<string, Tool>;
  /** False: begin without it. A stream of your own is used as it is, and left open. */
  microphone?: boolean | MediaTrackConstraints | MediaStream;
  /** False: read only. */
  speaker?: boolean;
  /** Where `nur-worklets.js` is; the server's own by default. */
  worklets?: string;
}

/** A conversation with an agent. Start it from a click. */
export class Conversation extends Emitter<ConversationEvents> {
  status: Status = "connecting";
  mode: Mode = "listening";
  microphone: MicrophoneState = "off";
  /** Null until the session has begun. */
  sessionId: string | null = null;

  private readonly link: Link;
  private readonly sound: Sound | null;
  private readonly tools: Record<string, Tool>;
  private readonly captions = new Map<string, string>();
  private playing: string | null = null;
  private readonly silenced = new Set<string>();
  private position: Position | null = null;
  private reported: Position | null = null;
  private readonly reporting: ReturnType<typeof setInterval>;
  private wantedMicrophone: MediaTrackConstraints | MediaStream;
  private endReason: string | null = null;

  constructor(options: ConversationOptions) {
    super();
    this.tools = options.tools ?? {};
    const asked = options.microphone ?? true;
    this.wantedMicrophone = typeof asked === "object" ? asked : {};
    const server = serverOf(options.url);
    this.sound =
      options.speaker === false && asked === false
        ? null
        : new Sound(options.worklets ?? new URL("nur-worklets.js", server).href, {
            spoken: (samples) => this.link.sendAudio(samples),
            played: (position) => (this.position = position),
            unplugged: () => void this.replug(),
          });
    this.link = new Link(withAudio(options.url), {
      event: (event) => this.receive(event),
      audio: (samples) => this.hear(samples),
      back: () => this.enter("live"),
      dropped: () => this.enter("reconnecting"),
      ended: (end) => this.finish(end),
    });
    this.reporting = setInterval(() => this.report(), REPORT_MS);
    void this.sound?.open();
    if (asked !== false) queueMicrotask(() => void this.listen());
  }

  /** Ask for the microphone and use it. False: there is none, and `microphone` says why. */
  async listen(wanted?: MediaTrackConstraints | MediaStream): Promise<boolean> {
    if (this.sound === null || this.status === "ended") return false;
    this.wantedMicrophone = wanted ?? this.wantedMicrophone;
    this.hold("asking");
    try {
      await this.sound.listen(this.wantedMicrophone);
    } catch (error) {
      const known = error instanceof MicrophoneError;
      this.hold(known ? error.state : "unavailable", known ? error.message : String(error));
      return false;
    }
    this.hold("on");
    return true;
  }

  /** Use another microphone: a `deviceId` of `navigator.mediaDevices.enumerateDevices()`. */
  async setMicrophone(deviceId: string): Promise<boolean> {
    return this.listen({ deviceId: { exact: deviceId } });
  }

  async setSpeaker(deviceId: string): Promise<void> {
    await this.sound?.setSpeaker(deviceId);
  }

  mute(muted = true): void {
    if (!this.sound?.isListening) return;
    this.sound.mute(muted);
    this.hold(muted ? "muted" : "on");
  }

  /** Type instead of speaking; the agent answers. */
  send(text: string): void {
    const id = `typed_${Date.now()}`;
    this.emit("caption", { who: "user", id, text, final: true, interrupted: false });
    this.say({ type: "conversation.message", role: "user", content: text });
    this.say({ type: "reply.create" });
  }

  /** Tell the agent something that the user does not see. No reply follows by itself. */
  inform(text: string): void {
    this.say({ type: "conversation.message", role: "system", content: text });
  }

  /** Send any event of the protocol. */
  say(event: ClientEvent): void {
    this.link.send(event);
  }

  /** Stop the agent. */
  interrupt(): void {
    this.say({ type: "reply.cancel" });
    this.quieten();
  }

  end(): void {
    if (this.status === "ended") return;
    this.endReason ??= "client_ended";
    this.say({ type: "session.end" });
    this.quieten();
    setTimeout(() => this.link.close(1000, "ended here"), 1000);
  }

  /** 0 to 1. */
  get inputLevel(): number {
    return this.microphone === "on" ? (this.sound?.inputLevel ?? 0) : 0;
  }

  get outputLevel(): number {
    return this.sound?.outputLevel ?? 0;
  }

  /** The browser plays nothing until somebody clicks or presses a key. */
  get isBlocked(): boolean {
    return this.sound?.isBlocked ?? false;
  }

  private receive(event: ServerEvent): void {
    this.emit("event", event);
    switch (event.type) {
      case "session.ready":
        this.sessionId = event.session_id;
        this.enter("live");
        break;
      case "session.error":
        this.emit("error", { code: event.code, message: event.message });
        break;
      case "session.ended":
        this.endReason = event.reason;
        break;
      case "input.speech.started":
        this.turn("hearing");
        break;
      case "input.speech.stopped":
        this.turn("thinking");
        break;
      case "transcript.user.delta":
        this.caption("user", event.item_id, event.text, false);
        break;
      case "transcript.user":
        this.caption("user", event.item_id, event.text, true);
        break;
      case "reply.started":
        this.playing = event.reply_id;
        this.turn("speaking");
        break;
      case "transcript.agent.delta": {
        const text = (this.captions.get(event.reply_id) ?? "") + event.delta;
        this.captions.set(event.reply_id, text);
        this.caption("agent", event.reply_id, text, false);
        break;
      }
      case "transcript.agent":
        this.captions.delete(event.reply_id);
        this.caption("agent", event.reply_id, event.text, true, event.interrupted);
        break;
      case "reply.done":
        if (event.status === "completed") this.sound?.finish();
        else this.quieten(event.reply_id);
        if (event.reply_id === this.playing && this.mode === "speaking") this.turn("listening");
        break;
      case "reply.error":
        this.emit("error", { code: event.code, message: event.message });
        break;
      case "tool.call":
        void this.run(event);
        break;
    }
  }

  private hear(samples: Int16Array): void {
    if (this.playing !== null && !this.silenced.has(this.playing)) {
      this.sound?.play(this.playing, samples);
    }
  }

  /** Nothing more is heard of the reply. */
  private quieten(reply = this.playing): void {
    if (reply === null) return;
    this.silenced.add(reply);
    this.sound?.flush(reply);
    this.report();
  }

  private async run(call: ToolCall): Promise<void> {
    const tool = this.tools[call.name];
    if (call.runner !== "client" || tool === undefined) {
      this.emit("tool", { call });
      return;
    }
    try {
      const result = (await tool(call.arguments)) ?? null;
      this.say({ type: "tool.result", call_id: call.call_id, result });
      this.emit("tool", { call, result });
    } catch (failure) {
      const error = failure instanceof Error ? failure.message : String(failure);
      this.say({ type: "tool.result", call_id: call.call_id, result: error, is_error: true });
      this.emit("tool", { call, error });
    }
  }

  private report(): void {
    const { position, reported } = this;
    if (position === null || this.status !== "live") return;
    if (reported?.reply === position.reply && reported.playedMs === position.playedMs) return;
    this.reported = position;
    const { reply, playedMs } = position;
    this.say({ type: "reply.audio.played", reply_id: reply, played_ms: playedMs });
  }

  /** The microphone is gone: take the one that the browser has now. */
  private async replug(): Promise<void> {
    if (this.wantedMicrophone instanceof MediaStream) {
      this.hold("missing", "The microphone is gone. You can type instead.");
      return;
    }
    await this.listen({ ...this.wantedMicrophone, deviceId: undefined });
  }

  private caption(
    who: Caption["who"], id: string, text: string, final: boolean, interrupted = false,
  ): void {
    this.emit("caption", { who, id, text, final, interrupted });
  }

  private enter(status: Status): void {
    if (this.status === status || this.status === "ended") return;
    this.status = status;
    this.emit("status", { status });
  }

  private turn(mode: Mode): void {
    if (this.mode === mode) return;
    this.mode = mode;
    this.emit("mode", { mode });
  }

  private hold(state: MicrophoneState, reason = ""): void {
    this.microphone = state;
    this.emit("microphone", { state, reason });
  }

  private finish(end: LinkEnd): void {
    clearInterval(this.reporting);
    this.enter("ended");
    this.sound?.close();
    const reason = this.endReason ?? end.error?.code ?? (end.code === 1000 ? end.reason : "");
    const message = end.error?.message ?? end.reason;
    this.emit("ended", { reason: reason || "connection_lost", message });
  }
}

/** Audio as binary frames, at the rate that is played here. */
function withAudio(url: string): string {
  const address = new URL(url, globalThis.location?.href);
  address.searchParams.set("audio", "binary");
  address.searchParams.set("encoding", "pcm16");
  address.searchParams.set("sample_rate", String(RATE));
  return address.href;
}

/** Where the scripts of the server behind a `websocket_url` are. */
function serverOf(url: string): string {
  return url.replace(/^ws/, "http").replace(/v1\/sessions\/.*$/, "");
}
