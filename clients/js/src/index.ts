export { Conversation } from "./conversation";
export type {
  Caption, ConversationEvents, ConversationOptions, Mode, Status, Tool,
} from "./conversation";
export type * from "./events";
export { NurApi, NurApiError } from "./rest";
export type { RestOptions } from "./rest";
export type { MicrophoneState } from "./sound";
