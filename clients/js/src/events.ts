/** The events of the conversation socket, as docs/websocket.md describes them. */

interface Stamped {
  /** Seconds since 1970. */
  timestamp: number;
}

export interface SessionReady extends Stamped {
  type: "session.ready";
  session_id: string;
  config: Record<string, unknown>;
  expires_at: number;
  resume_token?: string;
}
export interface SessionUpdated extends Stamped {
  type: "session.updated";
  config: Record<string, unknown>;
  warnings: string[];
}
export interface SessionError extends Stamped {
  type: "session.error";
  code: string;
  message: string;
  param: string | null;
  session_id: string | null;
}
export interface SessionEnded extends Stamped {
  type: "session.ended";
  reason: string;
  session_duration_seconds: number;
}
export interface SpeechStarted extends Stamped {
  type: "input.speech.started";
}
export interface SpeechStopped extends Stamped {
  type: "input.speech.stopped";
  reason: string;
  evidence: Record<string, unknown>;
}
export interface UserTranscriptDelta extends Stamped {
  type: "transcript.user.delta";
  item_id: string;
  /** The whole text so far. */
  text: string;
}
export interface UserTranscript extends Stamped {
  type: "transcript.user";
  item_id: string;
  text: string;
}
export interface ReplyStarted extends Stamped {
  type: "reply.started";
  reply_id: string;
  item_id: string;
}
export interface AgentTranscriptDelta extends Stamped {
  type: "transcript.agent.delta";
  reply_id: string;
  item_id: string;
  delta: string;
  start_ms: number | null;
  end_ms: number | null;
}
export interface AgentTranscript extends Stamped {
  type: "transcript.agent";
  reply_id: string;
  item_id: string;
  text: string;
  interrupted: boolean;
}
export interface ReplyDone extends Stamped {
  type: "reply.done";
  reply_id: string;
  status: "completed" | "interrupted" | "cancelled" | "failed";
  reason: string | null;
  evidence: Record<string, unknown>;
}
export interface ReplyError extends Stamped {
  type: "reply.error";
  reply_id: string;
  code: string;
  message: string;
  retryable: boolean;
}
export interface ToolCall extends Stamped {
  type: "tool.call";
  call_id: string;
  name: string;
  arguments: Record<string, unknown>;
  /** `client`: a result is expected. `server`: for information only. */
  runner: "client" | "server";
}

export type ServerEvent =
  | SessionReady
  | SessionUpdated
  | SessionError
  | SessionEnded
  | SpeechStarted
  | SpeechStopped
  | UserTranscriptDelta
  | UserTranscript
  | ReplyStarted
  | AgentTranscriptDelta
  | AgentTranscript
  | ReplyDone
  | ReplyError
  | ToolCall;

export type ClientEvent =
  | { type: "session.update"; session: Record<string, unknown> }
  | { type: "session.end" }
  | { type: "conversation.message"; role: "user" | "system"; content: string }
  | { type: "reply.create"; instructions?: string }
  | { type: "reply.cancel"; reply_id?: string }
  | { type: "reply.audio.played"; reply_id: string; played_ms: number }
  | { type: "tool.result"; call_id: string; result: unknown; is_error?: boolean };
