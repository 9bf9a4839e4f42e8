import { useEffect, useRef, useState } from "preact/hooks";
import { said } from "../api";

export interface Loaded<T> {
  value: T | undefined;
  error: string | null;
  busy: boolean;
  again: () => void;
}

/** Ask for something whenever what it depends on changes; the latest answer counts. */
export function useLoad<T>(
  ask: (signal: AbortSignal) => Promise<T>, depends: readonly unknown[], everyMs = 0,
): Loaded<T> {
  const [value, setValue] = useState<T | undefined>(undefined);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(true);
  const [round, setRound] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      setBusy(true);
      try {
        const answer = await latest.current(abort.signal);
        if (abort.signal.aborted) return;
        setValue(() => answer);
        setError(null);
      } catch (failure) {
        if (abort.signal.aborted) return;
        setError(said(failure));
      }
      setBusy(false);
      if (everyMs > 0) timer = setTimeout(look, everyMs);
    };
    void look();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [...depends, round]);
  return { value, error, busy, again: () => setRound((n) => n + 1) };
}
