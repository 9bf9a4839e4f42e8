import { api } from "../api";
import { useLoad } from "../ui/load";
import { Answer, Badge, Copy, Empty, Head } from "../ui/parts";
import { ago, length, plain } from "../ui/words";

const MOST = 20;
const EVERY_MS = 5_000;

/** The agents, to talk to, and the latest conversations. */
export function Home() {
  return (
    <>
      <Head title="Home" note={<>Everything else goes through the <a href="docs" data-plain>API</a>.</>} />
      <Agents />
      <Conversations />
    </>
  );
}

function Agents() {
  const agents = useLoad(() => api.call("GET /v1/agents", { limit: MOST }), []);
  return (
    <section class="list" aria-labelledby="agents">
      <h2 id="agents">Agents</h2>
      <Answer of={agents}>
        {({ data }) => data.length === 0 ? (
          <Empty title="No agent yet">
            <p>Make one with the API or the command line:</p>
            <Copy text="nur talk --help" />
          </Empty>
        ) : (
          <ul class="rows">
            {data.map((agent) => (
              <li key={agent.id}>
                <span class="name">{agent.name}</span>
                <span class="note">{agent.voice_id}</span>
                {agent.status !== "active" && <Badge tone="warn">{plain(agent.status)}</Badge>}
                <a class="button small" href={`try/${agent.id}`} data-plain>Talk</a>
              </li>
            ))}
          </ul>
        )}
      </Answer>
    </section>
  );
}

function Conversations() {
  const sessions = useLoad(
    () => api.call("GET /v1/sessions", { limit: MOST }), [], EVERY_MS,
  );
  return (
    <section class="list" aria-labelledby="conversations">
      <h2 id="conversations">Latest conversations</h2>
      <Answer of={sessions}>
        {({ data }) => data.length === 0 ? (
          <Empty title="Nobody has talked yet"><p>Talk to an agent above.</p></Empty>
        ) : (
          <ul class="rows">
            {data.map((one) => (
              <li key={one.session_id}>
                <code>{one.session_id.slice(0, 12)}</code>
                <Badge tone={one.status === "active" ? "good" : "plain"}>{plain(one.status)}</Badge>
                <span class="note">{ago(one.created_at)}</span>
                <span>{length(one.duration_seconds)}</span>
                <span class="note">{plain(one.ended_reason)}</span>
              </li>
            ))}
          </ul>
        )}
      </Answer>
    </section>
  );
}
