// Drives a real Chromium: one JSON command a line comes in, one JSON answer goes out.
// A command is the body of a function that is given `page` and `context` of Playwright.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const axe = createRequire(import.meta.url).resolve("axe-core");
const { executablePath, origin, wav, microphone, viewport, colorScheme } = JSON.parse(process.argv[2]);
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
];
if (wav) args.push(`--use-file-for-fake-audio-capture=${wav}%noloop`);
if (microphone !== "denied") args.push("--use-fake-ui-for-media-stream");
else args.push("--deny-permission-prompts");
const browser = await chromium.launch({ executablePath, headless: true, args });
const context = await browser.newContext({ baseURL: origin, viewport, colorScheme });
context.setDefaultTimeout(15000);
const page = await context.newPage();
const log = [];
page.on("console", (message) => log.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => log.push(`pageerror: ${error}`));

/** The serious findings of axe on the page as it is. */
const audit = async () => {
  // Evaluated by the protocol: the page's own policy would refuse a script of the test's.
  await page.evaluate((await import("node:fs")).readFileSync(axe, "utf8"));
  const { violations } = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
};

const Command = Object.getPrototypeOf(async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  const { code, given } = JSON.parse(line);
  try {
    const run = new Command("page", "context", "given", "audit", "log", code);
    const result = await run(page, context, given, audit, log);
    process.stdout.write(`${JSON.stringify({ result: result ?? null })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error?.stack ?? error), log: log.slice(-20) })}\n`);
  }
}
await browser.close();
