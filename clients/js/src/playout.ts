/** What plays next, sample by sample: the queue of the playback worklet, without the worklet. */

/** Held back before a reply begins, and after it ran dry: what the network may be late by. */
const CUSHION_MS = 60;
/** After which what there is is played, however little: a short reply has no more. */
const PATIENCE_MS = 120;
/** Of the end that is cut off: short enough to be silent at once, long enough not to click. */
const FADE_MS = 4;

interface Piece {
  reply: string;
  samples: Float32Array;
  at: number;
}

export interface Position {
  reply: string;
  /** How much of the reply has been played. */
  playedMs: number;
}

export class Playout {
  private queue: Piece[] = [];
  private waiting = true;
  private waited = 0;
  private played = new Map<string, number>();
  private current: string | null = null;
  private tail: Float32Array | null = null;

  constructor(private readonly rate: number) {}

  /** Samples of a reply, in order. */
  add(reply: string, samples: Float32Array): void {
    if (samples.length === 0) return;
    if (!this.played.has(reply)) {
      this.played.set(reply, 0);
      if (this.played.size > 8) this.played.delete(this.played.keys().next().value!);
    }
    this.queue.push({ reply, samples, at: 0 });
  }

  /** Nothing more comes of the reply: what is queued need not wait for more. */
  finish(): void {
    this.waiting = false;
  }

  /** Drop what has not been played, of one reply or of all. */
  flush(reply?: string): void {
    const dropped = this.queue.filter((piece) => reply === undefined || piece.reply === reply);
    if (dropped.length === 0) return;
    const first = dropped[0]!;
    if (!this.waiting && first === this.queue[0]) {
      this.tail = faded(first.samples.subarray(first.at), this.samplesOf(FADE_MS));
    }
    this.queue = this.queue.filter((piece) => !dropped.includes(piece));
    this.waiting = this.queue.length === 0 || this.waiting;
    this.waited = 0;
  }

  /** Fill `out` with what is heard next, silence where there is nothing. */
  render(out: Float32Array): void {
    let filled = this.fade(out);
    if (this.waiting && !this.enough(out.length)) return;
    while (filled < out.length) {
      const piece = this.queue[0];
      if (piece === undefined) {
        this.waiting = true;
        this.waited = 0;
        break;
      }
      this.waiting = false;
      const count = Math.min(out.length - filled, piece.samples.length - piece.at);
      out.set(piece.samples.subarray(piece.at, piece.at + count), filled);
      piece.at += count;
      filled += count;
      this.current = piece.reply;
      this.played.set(piece.reply, (this.played.get(piece.reply) ?? 0) + count);
      if (piece.at === piece.samples.length) this.queue.shift();
    }
  }

  /** Of the reply that was heard last. Null: nothing was yet. */
  get position(): Position | null {
    if (this.current === null) return null;
    const samples = this.played.get(this.current) ?? 0;
    return { reply: this.current, playedMs: Math.round((samples * 1000) / this.rate) };
  }

  get queuedMs(): number {
    const samples = this.queue.reduce((sum, piece) => sum + piece.samples.length - piece.at, 0);
    return (samples * 1000) / this.rate;
  }

  /** Whether something is heard now. */
  get isPlaying(): boolean {
    return !this.waiting && this.queue.length > 0;
  }

  private enough(samples: number): boolean {
    if (this.queue.length === 0) return false;
    this.waited += (samples * 1000) / this.rate;
    return this.queuedMs >= CUSHION_MS || this.waited >= PATIENCE_MS;
  }

  private fade(out: Float32Array): number {
    if (this.tail === null) return 0;
    const count = Math.min(out.length, this.tail.length);
    out.set(this.tail.subarray(0, count));
    this.tail = count < this.tail.length ? this.tail.subarray(count) : null;
    return count;
  }

  private samplesOf(ms: number): number {
    return Math.round((this.rate * ms) / 1000);
  }
}

function faded(samples: Float32Array, count: number): Float32Array {
  const tail = samples.slice(0, count);
  for (let i = 0; i < tail.length; i++) tail[i]! *= 1 - (i + 1) / tail.length;
  return tail;
}
