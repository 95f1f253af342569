"""Prints every change the moment it is committed.

    python subscribe.py [URL] [TOPIC]
"""

import asyncio
import itertools
import json
import os
import sys

import websockets

URL = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("WALCAST_URL", "ws://localhost:4000")
TOPIC = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("TOPIC", "realtime:*")
CHANGES = {"INSERT", "UPDATE", "DELETE", "TRUNCATE"}


async def beat(socket, refs):
    """The server closes a socket that says nothing for long."""
    while True:
        await asyncio.sleep(25)
        await socket.send(json.dumps([None, next(refs), "phoenix", "heartbeat", {}]))


async def listen(socket):
    refs = map(str, itertools.count(1))
    join = next(refs)
    # A frame is [join_ref, ref, topic, event, payload]; `frames` asks for one frame a change.
    await socket.send(json.dumps([join, join, TOPIC, "phx_join", {"frames": "type"}]))
    heartbeat = asyncio.create_task(beat(socket, refs))
    try:
        async for text in socket:
            _, ref, _, event, payload = json.loads(text)
            if event in CHANGES:
                row = payload.get("record") or payload.get("old_record") or {}
                print(event, f"{payload['schema']}.{payload['table']}", json.dumps(row, ensure_ascii=False))
            elif event == "phx_reply" and ref == join:
                if payload["status"] != "ok":
                    sys.exit(f"refused: {payload['response']['reason']}")
                print("joined", TOPIC, "at", payload["response"]["position"])
    finally:
        heartbeat.cancel()


async def main():
    # Connects anew, with a back-off, whenever the connection is lost.
    async for socket in websockets.connect(f"{URL}/socket/websocket?vsn=2.0.0", max_size=None):
        try:
            await listen(socket)
        except websockets.ConnectionClosed:
            pass


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
