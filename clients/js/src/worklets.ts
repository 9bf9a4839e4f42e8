/** Runs on the audio thread: the microphone's end and the loudspeaker's end of a conversation. */

import { Playout } from "./playout";
import { Resampler } from "./resampler";

declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
  constructor(options?: unknown);
}

/** Of what is sent at a time. */
const PIECE_MS = 40;
/** Between two reports of the played position. */
const REPORT_MS = 100;

class Microphone extends AudioWorkletProcessor {
  private readonly resampler: Resampler;
  private readonly piece: Int16Array;
  private filled = 0;
  private square = 0;

  constructor(options: { processorOptions: { rate: number } }) {
    super(options);
    const { rate } = options.processorOptions;
    this.resampler = new Resampler(sampleRate, rate);
    this.piece = new Int16Array((rate * PIECE_MS) / 1000);
  }

  process(inputs: Float32Array[][]): boolean {
    const channels = inputs[0] ?? [];
    if (channels.length === 0) return true;
    for (const value of this.resampler.push(mono(channels))) {
      const clipped = Math.max(-1, Math.min(1, value));
      this.square += clipped * clipped;
      this.piece[this.filled++] = Math.round(clipped * 32767);
      if (this.filled === this.piece.length) this.hand();
    }
    return true;
  }

  private hand(): void {
    const samples = this.piece.slice();
    const level = Math.sqrt(this.square / this.piece.length);
    this.port.postMessage({ samples, level }, [samples.buffer]);
    this.filled = 0;
    this.square = 0;
  }
}

class Loudspeaker extends AudioWorkletProcessor {
  private readonly playout = new Playout(sampleRate);
  private readonly rate: number;
  private resampler: Resampler;
  private since = 0;
  private wasPlaying = false;

  constructor(options: { processorOptions: { rate: number } }) {
    super(options);
    this.rate = options.processorOptions.rate;
    this.resampler = new Resampler(this.rate, sampleRate);
    this.port.onmessage = ({ data }) => {
      if (data.samples) this.playout.add(data.reply, this.resampler.push(floats(data.samples)));
      else if (data.finish) this.playout.finish();
      else this.flush(data.flush);
    };
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const [first, ...others] = outputs[0]!;
    this.playout.render(first!);
    for (const other of others) other.set(first!);
    this.since += (first!.length * 1000) / sampleRate;
    const { isPlaying } = this.playout;
    if (isPlaying !== this.wasPlaying || (isPlaying && this.since >= REPORT_MS)) this.report(first!);
    return true;
  }

  private flush(reply?: string): void {
    this.playout.flush(reply);
    this.resampler = new Resampler(this.rate, sampleRate);
    this.report();
  }

  private report(samples?: Float32Array): void {
    this.since = 0;
    this.wasPlaying = this.playout.isPlaying;
    const level = samples === undefined ? 0 : loudness(samples);
    const { position, isPlaying } = this.playout;
    this.port.postMessage({ position, isPlaying, level });
  }
}

function mono(channels: Float32Array[]): Float32Array {
  if (channels.length === 1) return channels[0]!;
  const mixed = new Float32Array(channels[0]!.length);
  for (const channel of channels) {
    for (let i = 0; i < mixed.length; i++) mixed[i]! += channel[i]! / channels.length;
  }
  return mixed;
}

function floats(samples: Int16Array): Float32Array {
  return Float32Array.from(samples, (value) => value / 32768);
}

function loudness(samples: Float32Array): number {
  let square = 0;
  for (const value of samples) square += value * value;
  return Math.sqrt(square / samples.length);
}

registerProcessor("nur-microphone", Microphone);
registerProcessor("nur-loudspeaker", Loudspeaker);
