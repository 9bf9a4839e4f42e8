import type { Position } from "./playout";

/** What is sent and what is asked for: the rate that agents' voices are made at. */
export const RATE = 24_000;

export type MicrophoneState = "off" | "asking" | "on" | "muted" | "denied" | "missing" | "unavailable";

/** Why there is no microphone, in words for whoever wanted to speak. */
export class MicrophoneError extends Error {
  constructor(
    readonly state: "denied" | "missing" | "unavailable",
    message: string,
  ) {
    super(message);
  }
}

export interface SoundHandlers {
  spoken(samples: Int16Array): void;
  played(position: Position, isPlaying: boolean): void;
  /** The microphone in use was unplugged. */
  unplugged(): void;
}

/** Microphone and loudspeaker of one conversation. */
export class Sound {
  /** 0 to 1, of the last 40 ms of the microphone. */
  inputLevel = 0;
  /** 0 to 1, of what is heard of the agent. */
  outputLevel = 0;

  private context: AudioContext | null = null;
  private loudspeaker: AudioWorkletNode | null = null;
  private simple: SimplePlayer | null = null;
  private microphone: AudioWorkletNode | null = null;
  private source: MediaStreamAudioSourceNode | null = null;
  private stream: MediaStream | null = null;
  private owned = false;
  private opening: Promise<void> | null = null;
  private closed = false;

  constructor(
    private readonly worklets: string,
    private readonly handlers: SoundHandlers,
  ) {}

  /** Make ready to play. Call it from a click: browsers are silent before one. */
  open(): Promise<void> {
    this.opening ??= this.closed ? Promise.resolve() : this.begin();
    return this.opening;
  }

  private async begin(): Promise<void> {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.unlock();
    if (!(await this.load())) {
      this.simple = new SimplePlayer(this.context, this.handlers);
      return;
    }
    if (this.closed) return;
    this.loudspeaker = new AudioWorkletNode(this.context, "nur-loudspeaker", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { rate: RATE },
    });
    this.loudspeaker.port.onmessage = ({ data }) => {
      this.outputLevel = data.isPlaying ? data.level : 0;
      if (data.position) this.handlers.played(this.heard(data.position), data.isPlaying);
    };
    this.loudspeaker.connect(this.context.destination);
  }

  play(reply: string, samples: Int16Array): void {
    if (this.simple !== null) this.simple.play(reply, samples);
    else this.loudspeaker?.port.postMessage({ reply, samples }, [samples.buffer as ArrayBuffer]);
  }

  /** Nothing more of the reply comes. */
  finish(): void {
    this.loudspeaker?.port.postMessage({ finish: true });
  }

  /** Be silent at once. */
  flush(reply?: string): void {
    this.outputLevel = 0;
    if (this.simple !== null) this.simple.flush();
    else this.loudspeaker?.port.postMessage({ flush: reply });
  }

  /** Listen. Raises `MicrophoneError`. */
  async listen(wanted: MediaTrackConstraints | MediaStream = {}): Promise<void> {
    await this.open();
    const stream = wanted instanceof MediaStream ? wanted : await ask(wanted);
    if (this.closed) {
      if (!(wanted instanceof MediaStream)) stop(stream);
      return;
    }
    this.release();
    if (this.loudspeaker === null) {
      stop(stream);
      throw new MicrophoneError("unavailable", "This browser cannot use the microphone here.");
    }
    const context = this.context!;
    this.stream = stream;
    this.owned = !(wanted instanceof MediaStream);
    this.source = context.createMediaStreamSource(stream);
    this.microphone = new AudioWorkletNode(context, "nur-microphone", {
      numberOfOutputs: 0,
      processorOptions: { rate: RATE },
    });
    this.microphone.port.onmessage = ({ data }) => {
      this.inputLevel = data.level;
      this.handlers.spoken(data.samples);
    };
    this.source.connect(this.microphone);
    for (const track of stream.getAudioTracks()) track.onended = () => this.handlers.unplugged();
  }

  get isListening(): boolean {
    return this.stream !== null;
  }

  mute(muted: boolean): void {
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** Play through another device, where the browser can. */
  async setSpeaker(deviceId: string): Promise<void> {
    const context = this.context as (AudioContext & { setSinkId?(id: string): Promise<void> }) | null;
    await context?.setSinkId?.(deviceId);
  }

  /** Whether the browser keeps quiet until somebody clicks. */
  get isBlocked(): boolean {
    return this.context?.state === "suspended";
  }

  close(): void {
    this.closed = true;
    this.release();
    void this.context?.close();
    this.loudspeaker = null;
    this.simple = null;
  }

  /** Less what has left the worklet and not the loudspeaker. */
  private heard(position: Position): Position {
    const late = (this.context?.outputLatency || this.context?.baseLatency || 0) * 1000;
    return { ...position, playedMs: Math.max(0, Math.round(position.playedMs - late)) };
  }

  private async load(): Promise<boolean> {
    const context = this.context!;
    if (context.audioWorklet === undefined) return false; // a page over plain http
    try {
      await context.audioWorklet.addModule(this.worklets);
      return true;
    } catch (error) {
      console.warn(`nur: ${this.worklets} cannot be loaded, so there is no microphone`, error);
      return false;
    }
  }

  private unlock(): void {
    const context = this.context!;
    void context.resume();
    const resume = () => {
      if (context.state === "suspended") void context.resume();
      else if (context.state === "running") for (const name of GESTURES) removeEventListener(name, resume);
    };
    for (const name of GESTURES) addEventListener(name, resume, { passive: true });
  }

  private release(): void {
    this.source?.disconnect();
    this.microphone?.port.close();
    if (this.stream !== null && this.owned) stop(this.stream);
    this.source = this.microphone = this.stream = null;
    this.inputLevel = 0;
  }
}

const GESTURES = ["pointerdown", "keydown"] as const;

/** Plays where there are no worklets: a page over plain http. */
class SimplePlayer {
  private readonly playing = new Set<AudioBufferSourceNode>();
  private next = 0;
  private reply = "";
  private began = 0;

  constructor(
    private readonly context: AudioContext,
    private readonly handlers: SoundHandlers,
  ) {}

  play(reply: string, samples: Int16Array): void {
    if (samples.length === 0) return;
    const buffer = this.context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(Float32Array.from(samples, (value) => value / 32768), 0);
    const node = this.context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.context.destination);
    this.next = Math.max(this.next, this.context.currentTime + 0.06);
    if (reply !== this.reply) [this.reply, this.began] = [reply, this.next];
    node.start(this.next);
    this.next += buffer.duration;
    this.playing.add(node);
    node.onended = () => {
      this.playing.delete(node);
      const playedMs = Math.max(0, Math.round((this.context.currentTime - this.began) * 1000));
      this.handlers.played({ reply: this.reply, playedMs }, this.playing.size > 0);
    };
  }

  flush(): void {
    for (const node of this.playing) {
      node.onended = null;
      node.stop();
    }
    this.playing.clear();
    this.next = 0;
  }
}

async function ask(wanted: MediaTrackConstraints): Promise<MediaStream> {
  const devices = navigator.mediaDevices;
  if (devices === undefined) {
    const secure = globalThis.isSecureContext
      ? "This browser has no microphone for pages."
      : "Browsers give the microphone to pages over https only, or on localhost.";
    throw new MicrophoneError("unavailable", `${secure} You can type instead.`);
  }
  try {
    return await devices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: false, autoGainControl: true, ...wanted },
    });
  } catch (error) {
    throw explained(error);
  }
}

function explained(error: unknown): MicrophoneError {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    return new MicrophoneError("missing", "No microphone was found. You can type instead.");
  }
  if (name === "NotReadableError" || name === "AbortError") {
    const why = "Another program uses the microphone. Close it and try again, or type instead.";
    return new MicrophoneError("unavailable", why);
  }
  const framed = globalThis.self !== globalThis.top;
  const why = framed
    ? "The page around this one does not let it use the microphone. You can type instead."
    : "The microphone was not allowed. You can type instead, or allow it beside the page's address.";
  return new MicrophoneError("denied", why);
}

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
