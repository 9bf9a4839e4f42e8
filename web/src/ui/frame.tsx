import type { ComponentChildren } from "preact";
import { session, signOut } from "../api";
import { place, to } from "../router";
import { Mark } from "../views/sign-in";

export const PLACES = [
  ["", "Home", "M4 11 12 4l8 7v8a1 1 0 0 1-1 1h-4v-6H9v6H5a1 1 0 0 1-1-1z"],
] as const;

export function Frame({ children }: { children: ComponentChildren }) {
  const at = place.value.path.split("/")[0];
  return (
    <div class="frame">
      <a class="skip" href="#main" data-plain>To the content</a>
      <nav aria-label="Places">
        <a class="mark" href={to("")}><Mark /> <span>Nur</span></a>
        <ul>
          {PLACES.map(([path, name, icon]) => (
            <li key={path}>
              <a href={to(path)} aria-current={at === path ? "page" : undefined}>
                <svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d={icon} /></svg>
                {name}
              </a>
            </li>
          ))}
        </ul>
        <div class="who">
          <p title={session.value?.account_id}>{session.value?.account_name}</p>
          <p class="note">{session.value?.key_name}</p>
          <button class="quiet small" onClick={() => void signOut()}>Sign out</button>
        </div>
      </nav>
      <main id="main" tabIndex={-1}>{children}</main>
    </div>
  );
}
