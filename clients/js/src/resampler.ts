/** Sinc lobes on either side of a sample: 60 dB of stop band with the window below. */
const LOBES = 16;
/** Positions between two samples that the filter is tabulated for. */
const PHASES = 256;
/** Of the lower of the two rates' bandwidth; the rest is the filter's slope. */
const PASSED = 0.92;

/** Converts a stream of mono audio from one sample rate to another, piece by piece. */
export class Resampler {
  private readonly step: number;
  private readonly half: number;
  private readonly table: Float32Array;
  private held: Float32Array;
  private at: number;

  constructor(
    private readonly from: number,
    private readonly to: number,
  ) {
    const scale = PASSED * Math.min(1, to / from);
    this.step = from / to;
    this.half = Math.ceil(LOBES / scale);
    this.table = filter(this.half, scale);
    this.held = new Float32Array(this.half);
    this.at = this.half;
  }

  /** What can be said of the output by now; the rest follows with the next piece. */
  push(piece: Float32Array): Float32Array {
    if (this.from === this.to) return piece;
    const input = new Float32Array(this.held.length + piece.length);
    input.set(this.held);
    input.set(piece, this.held.length);
    const taps = 2 * this.half;
    const last = input.length - this.half - 1;
    const out = new Float32Array(Math.max(0, Math.ceil((last - this.at) / this.step)));
    let count = 0;
    for (; this.at < last && count < out.length; this.at += this.step) {
      const base = Math.floor(this.at);
      const row = Math.round((this.at - base) * PHASES) * taps;
      const start = base - this.half + 1;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += input[start + tap]! * this.table[row + tap]!;
      out[count++] = sum;
    }
    const kept = Math.max(0, Math.floor(this.at) - this.half);
    this.held = input.slice(kept);
    this.at -= kept;
    return count === out.length ? out : out.subarray(0, count);
  }
}

/** One row of coefficients for each phase, each of them summing to 1. */
function filter(half: number, scale: number): Float32Array {
  const taps = 2 * half;
  const table = new Float32Array((PHASES + 1) * taps);
  for (let phase = 0; phase <= PHASES; phase++) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      const x = tap - half + 1 - phase / PHASES;
      const value = Math.abs(x) >= half ? 0 : scale * sinc(scale * x) * window(x / half);
      table[phase * taps + tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < taps; tap++) table[phase * taps + tap]! /= sum;
  }
  return table;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Blackman, over -1…1. */
function window(x: number): number {
  return 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}
