// A conversation in the browser, in some thirty lines. `nur.js` is the client in clients/js.
import { Conversation, NurApi, NurApiError } from "./nur.js";

const agent_id = decodeURIComponent(location.pathname.split("/").pop());
const at = (id) => document.getElementById(id);
const words = { listening: "Listening", hearing: "Listening to you", thinking: "Thinking", speaking: "Speaking; talk to interrupt" };
const show = (text) => (at("state").textContent = text);
let csrf = null;
const api = new NurApi({ baseUrl: document.baseURI, csrfToken: () => csrf });
let conversation = null;

function caption({ who, id, text, final, interrupted }) {
  const line = at(id) ?? at("captions").appendChild(Object.assign(document.createElement("li"), { id, className: who }));
  line.textContent = text + (interrupted ? " —" : "");
  line.classList.toggle("open", !final);
  line.scrollIntoView({ block: "nearest" });
}

async function talk() {
  const { websocket_url } = await api.call("POST /v1/agents/{agent_id}/sessions", { agent_id });
  conversation = new Conversation({ url: websocket_url });
  conversation.on("caption", caption);
  conversation.on("mode", ({ mode }) => show(words[mode]));
  conversation.on("status", ({ status }) => show(status === "live" ? "Listening" : status));
  conversation.on("microphone", ({ reason }) => (at("note").textContent = reason));
  conversation.on("error", ({ message }) => show(message));
  conversation.on("ended", ({ reason, message }) => {
    conversation = null;
    show(`The conversation is over: ${message || reason.replaceAll("_", " ")}`);
    [at("talk").textContent, at("typing").hidden] = ["Talk again", true];
  });
  [at("talk").textContent, at("typing").hidden] = ["End", false];
}

at("talk").onclick = () => (conversation ? conversation.end() : talk().catch((error) => show(error.message)));
at("typing").onsubmit = (event) => {
  event.preventDefault();
  const { text } = event.target.elements;
  if (text.value.trim()) conversation?.send(text.value.trim());
  text.value = "";
};
try {
  csrf = (await api.call("GET /v1/browser-session")).csrf_token;
  at("talk").disabled = false;
  at("name").textContent = (await api.call("GET /v1/agents/{agent_id}", { agent_id })).name;
} catch (error) {
  if (!(error instanceof NurApiError) || error.status !== 401) show(error.message);
  else location.href = `sign-in?next=${encodeURIComponent(location.pathname)}`;
}
