import { useEffect, useState } from "preact/hooks";
import { said, signIn } from "../api";
import { go, place, to } from "../router";
import { Field } from "../ui/parts";

/** Only places of this server are gone to. */
function next(given: string): string {
  return /^\/(?!\/)[\w./~?=&%-]*$/.test(given) ? given.slice(1) : "";
}

function enter(path: string): void {
  if (path.startsWith("try/")) location.replace(to(path));
  else go(to(path.split("?")[0]!) + (path.includes("?") ? `?${path.split("?")[1]}` : ""), true);
}

export function SignIn() {
  const [key, setKey] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [link, onward] = location.hash.slice(1).split("~");
  const attempt = async (given: { key: string } | { link: string }, path: string) => {
    setBusy(true);
    setError(null);
    try {
      await signIn(given);
      enter(next(path));
    } catch (failure) {
      setError(said(failure));
    }
    setBusy(false);
  };
  useEffect(() => {
    document.title = "Sign in · Nur";
    if (!link?.startsWith("lnk_")) return;
    history.replaceState(null, "", location.pathname);
    void attempt({ link }, onward ?? "/");
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    const wanted = place.value.path === "sign-in" ? (place.value.query.get("next") ?? "/") : `/${place.value.path}`;
    void attempt({ key: key.trim() }, wanted);
  };
  return (
    <main class="sign-in">
      <p class="mark"><Mark /> Nur</p>
      <h1>Sign in</h1>
      <p class="note">
        Run <code>nur dashboard</code> on the server for a link that signs you in, or give an API key. It stays on the server; this browser keeps a cookie for twelve hours.
      </p>
      <form onSubmit={submit}>
        <Field label="API key" error={error} hint="It may do here what it may do anywhere, and no more.">
          {(id, hint) => (
            <input
              id={id} aria-describedby={hint} type="password" autocomplete="current-password" spellcheck={false}
              placeholder="nur_…" value={key} onInput={(event) => setKey(event.currentTarget.value)} required
            />
          )}
        </Field>
        <button disabled={busy} aria-busy={busy}>Sign in</button>
      </form>
    </main>
  );
}

export function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--agent)" />
      <g fill="none" stroke="var(--paper)" stroke-width="2.6" stroke-linecap="round"><path d="M8 13v6M13 9.5v13M18 12v8M23 7v18" /></g>
    </svg>
  );
}
