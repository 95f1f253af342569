"""Protocol 1.0.0 spoken by hand, as a client does that gives no vsn at all.

The contract is in contract.cjs. Every frame is an object; what the server sends has exactly the keys
topic, event, payload and ref, the last one null on pushes.
"""

import asyncio
import json
import os
import sys

import websockets

HEARTBEAT_SECONDS = 1
ANSWER_SECONDS = 10


class Conversation:
    def __init__(self, socket, topic):
        self.socket = socket
        self.topic = topic
        self.answers = {}
        self.refs = 0
        self.leaving = False

    async def ask(self, topic, event, payload, join_ref=None):
        """Sends one frame and gives the payload of its reply."""
        self.refs += 1
        ref = str(self.refs)
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        if event == "phx_join":
            frame["join_ref"] = ref
        elif join_ref is not None:
            frame["join_ref"] = join_ref
        self.answers[ref] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps(frame))
        return ref, await asyncio.wait_for(self.answers[ref], ANSWER_SECONDS)

    async def listen(self):
        async for text in self.socket:
            frame = json.loads(text)
            if set(frame) != {"topic", "event", "payload", "ref"}:
                raise SystemExit(f"a frame has the keys {sorted(frame)}")
            if frame["event"] == "phx_reply":
                answer = self.answers.pop(frame["ref"], None)
                if answer is None:
                    raise SystemExit(f"a reply to {frame['ref']!r}, which was not asked")
                answer.set_result(frame["payload"])
            elif frame["topic"] == self.topic and not self.leaving:
                tell({"event": frame["event"], "payload": frame["payload"]})

    async def beat(self):
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            _, answer = await self.ask("phoenix", "heartbeat", {})
            if answer["status"] != "ok":
                raise SystemExit(f"a heartbeat was answered {answer!r}")


def tell(line):
    print(json.dumps(line), flush=True)


async def stdin_closed():
    # A pipe of the loop's own, since a thread that reads stdin could not be cancelled.
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def main():
    topic = os.environ["TOPIC"]
    join = json.loads(os.environ.get("JOIN") or "{}")
    async with websockets.connect(os.environ["WALCAST_URL"] + "/websocket", max_size=None) as socket:
        talk = Conversation(socket, topic)
        background = [asyncio.create_task(talk.listen()), asyncio.create_task(talk.beat())]
        join_ref, answer = await talk.ask(topic, "phx_join", join)
        joined = answer["status"] == "ok"
        tell({"joined" if joined else "refused": answer["response"]})
        end = asyncio.create_task(stdin_closed())
        done, _ = await asyncio.wait([end, *background], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if end not in done:
            raise SystemExit("the server closed the connection")
        if joined:
            talk.leaving = True
            _, answer = await talk.ask(topic, "phx_leave", {}, join_ref)
            if answer["status"] != "ok":
                raise SystemExit(f"the leave was answered {answer!r}")


asyncio.run(main())
