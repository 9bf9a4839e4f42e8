import { computed, signal } from "@preact/signals";
import { NurApi, NurApiError } from "nur-client";
import type { BrowserSessionObject } from "../../clients/js/src/api";

/** Null: nobody is signed in. Undefined: not known yet. */
export const session = signal<BrowserSessionObject | null | undefined>(undefined);

export const api = new NurApi({
  baseUrl: document.baseURI,
  csrfToken: () => session.value?.csrf_token ?? null,
});

/** Whether the key that is signed in may do something. */
export function may(scope: string): boolean {
  const scopes = session.value?.scopes ?? [];
  return scopes.includes("*") || scopes.includes(scope);
}

export const isSignedIn = computed(() => Boolean(session.value));

export async function lookWhoIsSignedIn(): Promise<void> {
  try {
    session.value = await api.call("GET /v1/browser-session");
  } catch (error) {
    if (error instanceof NurApiError && (error.status === 401 || error.status === 403)) session.value = null;
    else throw error;
  }
}

export async function signIn(given: { key: string } | { link: string }): Promise<void> {
  session.value = await api.call("POST /v1/browser-session", given);
}

export async function signOut(): Promise<void> {
  await api.call("DELETE /v1/browser-session").catch(() => null);
  session.value = null;
}

/** A sentence for whoever tried. */
export function said(error: unknown): string {
  if (error instanceof NurApiError) {
    if (error.status === 401) session.value = null;
    return error.message;
  }
  if (error instanceof TypeError) return "The server cannot be reached. It may be starting again.";
  return error instanceof Error ? error.message : String(error);
}
