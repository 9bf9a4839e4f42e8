// Builds everything that the server serves into the folder that it is served from.
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = process.env.NUR_WEB_OUT ?? here("../src/nur_server/web");
const client = here("../clients/js/src/index.ts");
const alias = { "nur-client": client };
const jsx = { jsx: { runtime: "automatic", importSource: "preact" } };

await rm(out, { recursive: true, force: true });
await build({
  root: here("."),
  base: "./",
  configFile: false,
  logLevel: "warn",
  resolve: { alias },
  oxc: jsx,
  build: { outDir: out, emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
});

/** One file without imports. */
async function single(entry, fileName, format, name) {
  await build({
    root: here("."),
    configFile: false,
    logLevel: "warn",
    publicDir: false,
    resolve: { alias },
    oxc: jsx,
    build: {
      outDir: out,
      emptyOutDir: false,
      target: "es2022",
      lib: { entry, name, formats: [format], fileName: () => fileName },
    },
  });
}

await single(client, "nur.js", "es");
await single(client, "nur.global.js", "iife", "Nur");
await single(here("../clients/js/src/worklets.ts"), "nur-worklets.js", "es");
