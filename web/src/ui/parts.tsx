import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Loaded } from "./load";

/** What a view is headed by. */
export function Head(props: { title: string; note?: ComponentChildren; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${props.title} · Nur`;
  }, [props.title]);
  return (
    <header class="head">
      <div>
        <h1>{props.title}</h1>
        {props.note && <p class="note">{props.note}</p>}
      </div>
      {props.children && <div class="actions">{props.children}</div>}
    </header>
  );
}

/** Something that is asked for: a wait, a failure that can be tried again, or the answer. */
export function Answer<T>(props: { of: Loaded<T>; children: (value: T) => ComponentChildren; lines?: number }) {
  const { value, error, again } = props.of;
  if (value === undefined && error === null) return <Waiting lines={props.lines ?? 4} />;
  return (
    <>
      {error !== null && <Failure text={error} again={again} />}
      {value !== undefined && props.children(value)}
    </>
  );
}

export function Waiting({ lines }: { lines: number }) {
  return (
    <div class="waiting" role="status">
      <span class="hidden">Loading</span>
      {Array.from({ length: lines }, (_, i) => <div key={i} class="bone" />)}
    </div>
  );
}

export function Failure({ text, again }: { text: string; again?: () => void }) {
  return (
    <div class="failure" role="alert">
      <p>{text}</p>
      {again && <button class="quiet" onClick={again}>Try again</button>}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Field(props: {
  label: string; hint?: ComponentChildren; error?: string | null; children: (id: string, described: string) => JSX.Element;
}) {
  const id = useId();
  return (
    <div class={props.error ? "field wrong" : "field"}>
      <label for={id}>{props.label}</label>
      {props.children(id, `${id}-hint`)}
      <p id={`${id}-hint`} class="hint" role={props.error ? "alert" : undefined}>
        {props.error ?? props.hint}
      </p>
    </div>
  );
}

let made = 0;
export function useId(): string {
  const id = useRef("");
  if (id.current === "") id.current = `f${++made}`;
  return id.current;
}

export function Badge({ tone, children }: { tone?: "good" | "bad" | "warn" | "plain"; children: ComponentChildren }) {
  return <span class={`badge ${tone ?? "plain"}`}>{children}</span>;
}

/** A button that does something on the server, and says so when it fails. */
export function Act(props: {
  run: () => Promise<unknown>; class?: string; disabled?: boolean; children: ComponentChildren; onError: (error: unknown) => void; title?: string;
}) {
  const [busy, setBusy] = useState(false);
  const click = async () => {
    setBusy(true);
    try {
      await props.run();
    } catch (error) {
      props.onError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button class={props.class} disabled={props.disabled || busy} aria-busy={busy} onClick={click} title={props.title}>
      {props.children}
    </button>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    if (!(await toClipboard(text))) return;
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="quiet small" onClick={copy} aria-live="polite">
      {done ? "Copied" : label}
    </button>
  );
}

/** Pages over plain http have no clipboard of their own. */
async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(box);
    box.select();
    const copied = document.execCommand("copy");
    box.remove();
    return copied;
  }
}

/** A modal question. Escape and the backdrop close it. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog} class={props.wide ? "wide" : ""} aria-labelledby={id} onClose={props.onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="sheet">
        <header>
          <h2 id={id}>{props.title}</h2>
          <button type="button" class="icon" aria-label="Close" onClick={() => dialog.current?.close()}>×</button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
