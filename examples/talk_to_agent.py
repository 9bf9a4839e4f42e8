"""Talk to an agent with a recording, and keep what it answers.

    NUR_API_KEY=nur_… python examples/talk_to_agent.py agt_… question.wav answer.wav

The recording is sent at the pace of speech from a second thread, while this one reads events. It
ends when the agent has answered.
"""

# ruff: noqa: T201  what an example prints is the point of it

import argparse
import threading

from nur import LiveSession, NurClient
from nur.audio import paced, read_wav, silence, write_wav
from nur.errors import LiveError
from nur.events import AgentTranscript, ReplyAudio, ReplyDone, UserTranscript

SILENCE_SECONDS = 20


def speak(live: LiveSession, recording: bytes, has_ended: threading.Event) -> None:
    """Send the recording and then silence, which ends the user's turn."""
    try:
        for piece in paced(recording + silence(SILENCE_SECONDS)):
            if has_ended.is_set():
                return
            live.send_audio(piece)
    except LiveError:
        return


def listen(live: LiveSession) -> bytes:
    """Print both sides until the agent has answered; return what it said."""
    answer = bytearray()
    has_asked = False
    for event in live:
        match event:
            case UserTranscript(text=text):
                has_asked = True
                answer.clear()
                print(f"you:   {text}")
            case ReplyAudio(audio=audio):
                answer += audio
            case AgentTranscript(text=text, interrupted=interrupted):
                print(f"agent: {text}{' —' if interrupted else ''}")
            case ReplyDone(status="completed") if has_asked:
                break
    return bytes(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("agent_id")
    parser.add_argument("question", help="a WAV file of 16-bit PCM")
    parser.add_argument("answer", help="where to write what the agent says")
    given = parser.parse_args()

    recording = read_wav(given.question)
    has_ended = threading.Event()
    with NurClient() as client:
        session = client.agents.sessions.create(agent_id=given.agent_id)
        with client.sessions.connect(session, binary=True) as live:
            speaker = threading.Thread(target=speak, args=(live, recording, has_ended))
            speaker.start()
            try:
                write_wav(given.answer, listen(live))
            finally:
                has_ended.set()
                speaker.join()


if __name__ == "__main__":
    main()
