// Rows from LISTEN/NOTIFY to everybody, by nothing but ws.
//
//   DATABASE_URL=postgres://.. node server.mjs
//
// Listens on a free port of 127.0.0.1 and prints its address in one line.

import pg from 'pg';
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
// Without a listener an error of one socket would end the process.
server.on('connection', (socket) => socket.on('error', () => socket.terminate()));

const database = new pg.Client({ connectionString: process.env.DATABASE_URL });
database.on('notification', ({ payload }) => {
  // A Buffer is made once; a string would be encoded for each socket.
  const bytes = Buffer.from(payload);
  for (const socket of server.clients) socket.send(bytes, { binary: false });
});
await database.connect();
await database.query('listen fanout');

console.log(`127.0.0.1:${server.address().port}`);
