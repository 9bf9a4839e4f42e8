// Drives a page in a real Chromium: one JSON command a line comes in, one JSON answer goes out.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const livekit = require.resolve("livekit-client").replace(/livekit-client\.[^/]*$/, "livekit-client.umd.js");
const [executablePath, origin] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
});
const context = await browser.newContext();
const page = await context.newPage();
const log = [];
page.on("console", (message) => log.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => log.push(`error: ${error}`));

const helpers = () => {
  const seen = (window.seen = { said: [], states: [], events: [], calls: [], level: 0 });
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const gain = audio.createGain();
  gain.gain.value = 0;
  const out = audio.createMediaStreamDestination();
  tone.frequency.value = 400;
  tone.connect(gain).connect(out);
  tone.start();
  const microphone = out.stream.getAudioTracks()[0];
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const listen = (track) => {
    const element = document.createElement("audio");
    element.autoplay = true;
    element.srcObject = new MediaStream([track]);
    document.body.append(element);
    const source = audio.createMediaStreamSource(element.srcObject);
    const analyser = audio.createAnalyser();
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      seen.level = Math.max(...samples.map(Math.abs));
      seen.loudest = Math.max(seen.loudest ?? 0, seen.level);
    }, 20);
  };
  window.until = async (test, ms = 20000) => {
    for (let waited = 0; waited < ms; waited += 20) {
      if (test()) return true;
      await wait(20);
    }
    return false;
  };
  window.speak = async (seconds) => {
    await audio.resume();
    gain.gain.value = 0.5;
    await wait(seconds * 1000);
    gain.gain.value = 0;
  };
  window.join = async ({ livekit_url, token, options, typed }) => {
    const { Room, RoomEvent } = LivekitClient;
    const room = (window.room = new Room(options));
    for (const name of ["Reconnecting", "Reconnected", "Disconnected", "SignalReconnecting"]) {
      room.on(RoomEvent[name], (reason) => seen.events.push([name, reason ?? null, performance.now()]));
    }
    room.on(RoomEvent.TrackSubscribed, (track) => {
      seen.events.push(["TrackSubscribed", null, performance.now()]);
      listen(track.mediaStreamTrack);
    });
    room.on(RoomEvent.ParticipantAttributesChanged, (changed) => {
      if (changed["lk.agent.state"]) seen.states.push(changed["lk.agent.state"]);
    });
    room.on(RoomEvent.TranscriptionReceived, (segments, who) =>
      segments.forEach((s) => seen.said.push([who?.identity, s.text, s.final])));
    room.registerTextStreamHandler("lk.transcription", async (reader, who) => {
      seen.said.push([who.identity, await reader.readAll(), "stream"]);
    });
    room.registerRpcMethod?.("lookup_order", async (data) => {
      seen.calls.push(JSON.parse(data.payload));
      return JSON.stringify({ status: "shipped" });
    });
    await room.connect(livekit_url, token);
    if (!typed) await room.localParticipant.publishTrack(microphone, { source: "microphone" });
    return {
      kind: [...room.remoteParticipants.values()].map((p) => [p.identity, p.kind]),
    };
  };
  window.joinPlain = async ({ session_id, secret }) => {
    const pc = (window.pc = new RTCPeerConnection());
    const events = (window.channel = pc.createDataChannel("events"));
    events.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      seen.events.push([message.type, message.status ?? null]);
      if (message.text) seen.said.push([message.type, message.text, true]);
      if (message.type === "tool.call") {
        seen.calls.push(message.arguments);
        events.send(JSON.stringify({ type: "tool.result", call_id: message.call_id, result: "{}" }));
      }
    };
    pc.ontrack = ({ track }) => listen(track);
    pc.addTrack(microphone);
    await pc.setLocalDescription();
    const answer = await fetch(`/v1/sessions/${session_id}/sdp`, {
      method: "POST",
      headers: { Authorization: `Bearer ${secret}`, "Content-Type": "application/sdp" },
      body: pc.localDescription.sdp,
    });
    await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    return answer.status;
  };
};

const open = async () => {
  await page.goto(`${origin}/healthz`);
  await page.addScriptTag({ path: livekit });
  await page.evaluate(helpers);
};
await open();
const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const { name, argument } = JSON.parse(line);
  let result;
  try {
    if (name === "reload") result = await open();
    else if (name === "log") result = log.splice(0);
    else result = await page.evaluate(`(async (argument) => { ${name} })(${JSON.stringify(argument ?? null)})`);
    process.stdout.write(`${JSON.stringify({ result: result ?? null })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`);
  }
}
await browser.close();
