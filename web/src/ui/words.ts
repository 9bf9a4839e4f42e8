/** Figures and moments as people read them. */

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export function ago(iso: string | null | undefined): string {
  if (!iso) return "never";
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [[60, "second"], [3600, "minute"], [86400, "hour"], [7 * 86400, "day"]];
  let unit = 1;
  for (const [most, name] of steps) {
    if (Math.abs(seconds) < most) return relative.format(Math.round(seconds / unit), name);
    unit = most;
  }
  return day.format(new Date(iso));
}

export function moment(iso: string | null | undefined): string {
  if (!iso) return "–";
  const date = new Date(iso);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : day.format(date);
}

export function length(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function delay(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  return ms < 995 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9_950 ? 2 : 1)} s`;
}

/** `agent_ended` as `agent ended`. */
export function plain(word: string | null | undefined): string {
  return (word ?? "").replaceAll("_", " ");
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
