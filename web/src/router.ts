/** Every view is an address: a path below the page's base, and filters in the query. */

import { signal } from "@preact/signals";

const base = new URL(document.baseURI).pathname;

export interface Place {
  /** Without the base, such as `calls/ses_1`. */
  path: string;
  query: URLSearchParams;
}

function here(): Place {
  const path = location.pathname.slice(base.length).replace(/\/$/, "");
  return { path: decodeURI(path), query: new URLSearchParams(location.search) };
}

export const place = signal<Place>(here());

/** The address of a view. */
export function to(path: string, query: Record<string, string | number | undefined | null> = {}): string {
  const filled = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(filled.map(([name, value]) => [name, String(value)])).toString();
  return base + path.replace(/^\//, "") + (text ? `?${text}` : "");
}

/** May the view be left? Set by forms with unsaved changes. */
export const guard = signal<(() => boolean) | null>(null);

export function go(address: string, replace = false): void {
  if (guard.value !== null && !guard.value()) return;
  guard.value = null;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  place.value = here();
  if (!replace) scrollTo(0, 0);
}

/** Change the filters of this view; empty ones are left out. */
export function filter(changes: Record<string, string | null>): void {
  const query = Object.fromEntries(place.value.query);
  for (const [name, value] of Object.entries(changes)) query[name] = value ?? "";
  history.replaceState(null, "", to(place.value.path, query));
  place.value = here();
}

addEventListener("popstate", () => {
  guard.value = null;
  place.value = here();
});
addEventListener("beforeunload", (event) => {
  if (guard.value !== null) event.preventDefault();
});
document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest?.("a");
  if (!link || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (!link.pathname.startsWith(base) || link.dataset.plain !== undefined) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
