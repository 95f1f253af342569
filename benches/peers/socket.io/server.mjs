// Rows from LISTEN/NOTIFY to everybody, by Socket.IO: README.md says how it is kept fast.
//
//   DATABASE_URL=postgres://.. node server.mjs
//
// Listens on a free port of 127.0.0.1 and prints its address in one line.

import { createServer } from 'node:http';
import pg from 'pg';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false });
// The request of a handshake is kept for as long as its socket, unless it is let go
// (https://socket.io/docs/v4/memory-usage/).
io.engine.on('connection', (socket) => {
  socket.request = null;
});

const database = new pg.Client({ connectionString: process.env.DATABASE_URL });
database.on('notification', ({ payload }) => io.emit('change', JSON.parse(payload)));
await database.connect();
await database.query('listen fanout');

http.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${http.address().port}`));
